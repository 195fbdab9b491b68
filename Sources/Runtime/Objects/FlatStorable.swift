/// A number that lies in memory as it is: arrays of them are stored without encoding.
public protocol FlatElement: Codable, Sendable, BitwiseCopyable {}

extension Int: FlatElement {}
extension Int8: FlatElement {}
extension Int16: FlatElement {}
extension Int32: FlatElement {}
extension Int64: FlatElement {}
extension UInt: FlatElement {}
extension UInt8: FlatElement {}
extension UInt16: FlatElement {}
extension UInt32: FlatElement {}
extension UInt64: FlatElement {}
extension Float: FlatElement {}
extension Double: FlatElement {}

/// A value that is stored as its bytes.
protocol FlatStorable: Sendable {
  var flatByteCount: Int { get }
  static var flatStride: Int { get }
  func copyFlat(to target: UnsafeMutableRawBufferPointer)
  init(flat bytes: UnsafeRawBufferPointer)
}

extension Array: FlatStorable where Element: FlatElement {
  static var flatStride: Int { MemoryLayout<Element>.stride }
  var flatByteCount: Int { count * MemoryLayout<Element>.stride }

  func copyFlat(to target: UnsafeMutableRawBufferPointer) {
    withUnsafeBytes { target.copyMemory(from: $0) }
  }

  init(flat bytes: UnsafeRawBufferPointer) {
    let count = bytes.count / MemoryLayout<Element>.stride
    self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[..<(count * MemoryLayout<Element>.stride)]))
      initialized = count
    }
  }
}
