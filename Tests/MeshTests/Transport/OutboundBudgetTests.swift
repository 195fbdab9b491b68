import IorunCore
import IorunWire
import Testing

@testable import IorunMesh

/// The bound on what waits for a peer.
struct OutboundBudgetTests {
  private func fill(_ budget: inout OutboundBudget) throws {
    for _ in 0..<(OutboundBudget.bytesPerPeer / WireLimits.payloadBytes) {
      try budget.reserve(WireLimits.payloadBytes, for: .anna)
    }
  }

  @Test func `a payload over the limit is too large`() {
    var budget = OutboundBudget()
    #expect {
      try budget.reserve(WireLimits.payloadBytes + 1, for: .anna)
    } throws: { ($0 as? IorunError)?.code == .tooLarge }
  }

  @Test func `a full budget is overloaded, for that peer alone`() throws {
    var budget = OutboundBudget()
    try fill(&budget)
    #expect {
      try budget.reserve(1, for: .anna)
    } throws: { ($0 as? IorunError)?.code == .overloaded }
    try budget.reserve(1, for: .bert)
  }

  @Test func `what is released can be reserved again`() throws {
    var budget = OutboundBudget()
    try fill(&budget)
    budget.release(10, for: .anna)
    try budget.reserve(10, for: .anna)
    #expect(throws: IorunError.self) { try budget.reserve(1, for: .anna) }
    budget.releaseAll(for: .anna)
    try fill(&budget)
  }

  @Test func `releasing too much gives no more than the bound`() throws {
    var budget = OutboundBudget()
    budget.release(1 << 40, for: .anna)
    try fill(&budget)
    #expect(throws: IorunError.self) { try budget.reserve(1, for: .anna) }
  }
}
