/// Where libzmq sends answers to a connection: the routing id that it gave it, or that the peer chose.
/// The usual five bytes take no memory of their own.
struct Route: Hashable, Sendable {
  /// Up to seven bytes from the highest on, and how many they are in the lowest; 255 there where they
  /// are in `long`.
  private let short: UInt64
  private let long: [UInt8]

  init(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count < 8 else {
      short = 0xff
      long = Array(bytes)
      return
    }
    let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    short = value << UInt64(64 - 8 * bytes.count) | UInt64(bytes.count)
    long = []
  }

  /// Its bytes, for the call only.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let count = Int(short & 0xff)
    guard count < 8 else { return long.withUnsafeBytes(body) }
    return withUnsafeBytes(of: short.bigEndian) {
      body(UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
  }
}
