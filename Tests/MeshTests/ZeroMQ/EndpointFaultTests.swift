import Foundation
import IorunCore
import TestSupport
import Testing

@testable import IorunMesh

/// Endpoints that restart, lose their connections or stop.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct EndpointFaultTests {
  private let headKey: CurveKey
  private let annaKey: CurveKey

  init() throws {
    headKey = try CurveKey()
    annaKey = try CurveKey()
  }

  @Test func `a listener that restarts is found again, and the session before is lost`()
    async throws
  {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let address = listener.address
    let anna = try Caller(key: annaKey, to: address, headKey: headKey.publicKey)
    try await expectWorks(anna, listener)
    await listener.endpoint.stop()
    let again = try await retrying {
      try Listener(key: headKey, admitting: [annaKey], at: address)
    }
    // The first payload tells anna at the latest that the session before is over.
    try anna.send([1], to: again)
    #expect(await eventually { !anna.receiver.lost.isEmpty })
    #expect(anna.receiver.lost.first?.error.code == .peerLost)
    try await expectWorks(anna, again)
    await anna.endpoint.stop()
    await again.endpoint.stop()
  }

  @Test func `connections cut in mid-stream lose nothing, repeat nothing and keep the order`()
    async throws
  {
    let count = 2000
    let listener = try Listener(key: headKey, admitting: [annaKey]) { $0.bytes }
    let proxy = try CuttableProxy(to: listener.port)
    let anna = try Caller(
      key: annaKey, to: "tcp://127.0.0.1:\(proxy.port)", headKey: headKey.publicKey)
    let numbers = (0..<count).map { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    for (index, number) in numbers.enumerated() {
      try anna.send(number + [UInt8](repeating: 0, count: 500), to: listener)
      if index % 400 == 200 {
        let before = listener.receiver.payloads.count
        _ = await eventually(within: .seconds(3)) { listener.receiver.payloads.count > before }
        proxy.setCut(true)
        try await Task.sleep(for: .milliseconds(20))
        proxy.setCut(false)
      }
    }
    #expect(await eventually(within: .seconds(20)) { anna.receiver.payloads.count >= count })
    #expect(listener.receiver.payloads.map { Array($0.bytes.prefix(2)) } == numbers)
    #expect(anna.receiver.payloads.map { Array($0.bytes.prefix(2)) } == numbers)
    #expect(anna.receiver.lost.isEmpty && listener.receiver.lost.isEmpty)
    await anna.endpoint.stop()
    await listener.endpoint.stop()
    proxy.stop()
  }

  @Test func `stopping waits until what was sent has arrived`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    for number: UInt8 in 0..<100 {
      try anna.send([UInt8](repeating: number, count: 10_000), to: listener)
    }
    await anna.endpoint.stop(drainingFor: .seconds(10))
    #expect(listener.receiver.payloads.count == 100)
    #expect { try anna.send([1], to: listener) } throws: {
      ($0 as? IorunError)?.code == .unreachable
    }
    await listener.endpoint.stop()
  }
}
