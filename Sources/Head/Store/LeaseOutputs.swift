internal import IorunContract

/// What one rank left behind when it ended well.
struct LeaseOutputs: Sendable, Hashable {
  var lease: LeaseID
  var list: OutputList
}
