internal import COpenSSL
internal import IorunCore

/// Turns a failed OpenSSL call into an error that carries OpenSSL's own words.
enum OpenSSLFailure: Error, CustomStringConvertible {
  case reason(String)

  var description: String {
    switch self {
    case .reason(let text): text
    }
  }

  /// An `internalFault`, unless `code` says otherwise, with the oldest error of this thread's queue
  /// as its cause; empties the queue.
  static func error(_ message: String, code: IorunError.Code = .internalFault) -> IorunError {
    let number = ERR_get_error()
    ERR_clear_error()
    guard number != 0 else { return IorunError(code, message) }
    var text = [CChar](repeating: 0, count: 256)
    ERR_error_string_n(number, &text, text.count)
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return IorunError(
      code, message, cause: OpenSSLFailure.reason(String(decoding: bytes, as: UTF8.self)))
  }
}
