internal import IorunContract
internal import IorunCore
internal import IorunRuntime

extension NodeProcess {
  /// Looks whether the head takes this peer as a node, once it is admitted: whoever joins with the
  /// wrong ticket should hear it at once. A head that does not answer is asked again with the
  /// registration, and decides then.
  ///
  /// - Throws: `notAllowed` for a buyer's ticket.
  public func checkRole() async throws {
    let admission = try? await MeshActorSystem.$callTimeout.withValue(.seconds(5)) {
      try await admissions.renew()
    }
    guard let admission, admission.role == .buyer else { return }
    throw IorunError(
      .notAllowed, "this is a buyer's ticket, which lets nobody offer a node",
      remedy: "Ask an operator for a supplier's: iorun ticket create --role supplier")
  }
}
