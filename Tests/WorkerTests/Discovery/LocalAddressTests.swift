import IorunCore
import Testing

@testable import IorunWorker

@Suite("Local addresses")
struct LocalAddressTests {
  @Test("towards itself a machine uses its loopback interface")
  func loopback() throws {
    let local = try LocalAddress.toward(host: "127.0.0.1", port: 9)
    #expect(local == LocalAddress(address: "127.0.0.1", interface: "lo"))
  }

  @Test("any loopback address is carried by the loopback interface, a foreign one by none")
  func interfaces() {
    #expect(LocalAddress.interface(carrying: "127.0.0.7") == "lo")
    #expect(LocalAddress.interface(carrying: "192.0.2.1") == nil)
  }

  @Test("a host without an address is a typed error")
  func unknown() {
    #expect { try LocalAddress.toward(host: "no host", port: 9) } throws: {
      ($0 as? IorunError)?.code == .unreachable
    }
  }

  @Test("a free port is on the address and not one of those taken")
  func port() throws {
    let first = try FreePort.find(on: "127.0.0.1", except: [])
    let second = try FreePort.find(on: "127.0.0.1", except: [first])
    #expect(first > 0 && second > 0 && first != second)
  }

  @Test("a port on a foreign address is a typed error")
  func foreign() {
    #expect { try FreePort.find(on: "192.0.2.1", except: []) } throws: {
      ($0 as? IorunError)?.code == .unreachable
    }
  }
}
