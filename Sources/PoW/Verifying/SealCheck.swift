internal import IorunCrypto

/// The check of a device's word for a text.
enum SealCheck {
  /// Throws a ``Refusal`` where `device` did not seal `text`.
  static func check(
    _ seal: Seal, _ text: [UInt8], device: DeviceID, epoch: Int64,
    from submitter: Verifier.Submitter
  ) throws {
    if case .session(let session) = submitter, session.device != device {
      throw Refusal.wrongDevice
    }
    switch (seal, submitter) {
    case (.code(let code), .session(let session)):
      guard session.epoch == epoch, try session.isValid(code, for: text) else {
        throw Refusal.notSealed
      }
    case (.signature(let signature), _):
      let key = try VerifyingKey(rawRepresentation: device.bytes)
      guard key.isValid(signature: signature, for: text) else { throw Refusal.notSealed }
    case (.code, .sessionless): throw Refusal.sessionUnknown
    case (.code, .anybody): throw Refusal.notSealed
    }
  }
}
