internal import CPath
internal import Foundation
internal import IorunCore

extension SocketAddress {
  /// The form that C takes.
  var native: iorun_path_address {
    var value = iorun_path_address()
    value.length = UInt8(address.count)
    value.port = port
    withUnsafeMutableBytes(of: &value.bytes) { $0.copyBytes(from: address) }
    return value
  }

  /// Reads the form that C gives.
  init?(_ native: iorun_path_address) {
    let bytes = withUnsafeBytes(of: native.bytes) { Array($0.prefix(Int(native.length))) }
    self.init(address: bytes, port: native.port)
  }
}

/// Turns a call's `-errno` into an error.
enum PathFailure {
  /// The result where it is no error; else throws `addressInUse` or `internalFault`.
  static func check(_ result: Int32, _ action: String) throws -> Int32 {
    guard result < 0 else { return result }
    if result == -EADDRINUSE || result == -EADDRNOTAVAIL {
      throw IorunError(
        .addressInUse, "cannot \(action): \(String(cString: strerror(-result)))",
        remedy: "Give another address or port, or end the program that has it")
    }
    throw IorunError(.internalFault, "cannot \(action): \(String(cString: strerror(-result)))")
  }
}
