import Foundation
import IorunCore
import IorunMesh
import Testing

/// Who a peer is, and the file that says so.
struct CurveKeyTests {
  private func inFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "iorun-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  @Test func `the public half is that of RFC 7748, section 6.1`() throws {
    let secret: [UInt8] = [
      0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66,
      0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9,
      0x2c, 0x2a,
    ]
    let key = try CurveKey(secretKey: secret)
    #expect(key.publicKey.prefix(4) == [0x85, 0x20, 0xf0, 0x09])
    #expect(key.peer == CurveKey.peer(of: key.publicKey))
  }

  @Test func `a secret of another length is refused`() {
    for count in [0, 31, 33] {
      #expect(throws: IorunError.self) {
        try CurveKey(secretKey: [UInt8](repeating: 1, count: count))
      }
    }
  }

  @Test func `a key file is made for its owner alone and read again`() throws {
    try inFolder { folder in
      let key = try CurveKey.loadOrCreate(at: folder + "/key")
      let mode = try FileManager.default.attributesOfItem(atPath: folder + "/key")[
        .posixPermissions]
      #expect(mode as? Int == 0o600)
      #expect(try CurveKey.loadOrCreate(at: folder + "/key").publicKey == key.publicKey)
    }
  }

  @Test func `a key file that others may read is refused`() throws {
    try inFolder { folder in
      _ = try CurveKey.loadOrCreate(at: folder + "/key")
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o644], ofItemAtPath: folder + "/key")
      #expect {
        try CurveKey.loadOrCreate(at: folder + "/key")
      } throws: { ($0 as? IorunError)?.code == .identityUnusable }
    }
  }

  @Test func `a damaged key file is refused and stays as it is`() throws {
    try inFolder { folder in
      for count in [0, 31, 33] {
        let path = folder + "/key-\(count)"
        try Data(count: count).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect {
          try CurveKey.loadOrCreate(at: path)
        } throws: { ($0 as? IorunError)?.code == .identityUnusable }
        #expect(FileManager.default.contents(atPath: path)?.count == count)
      }
    }
  }
}
