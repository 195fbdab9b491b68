import IorunCore
import Testing

@testable import IorunScheduler

@Suite("Shares of tenants")
struct FairShareTests {
  private let day = 86_400.0

  private func cluster() throws -> FairShare {
    try FairShare(capacity: QueueDemand(gpus: 100, cpus: 1000))
  }

  @Test("a share converges to the dominant part that is held, and halves in a day after it")
  func converges() throws {
    var shares = try cluster()
    shares.take(try QueueDemand(gpus: 20, cpus: 400), by: 1, atSeconds: 0)
    #expect(abs(shares.share(of: 1, atSeconds: 20 * day) - 0.4) < 0.001)
    shares.setHeld(.zero, by: 1, atSeconds: 20 * day)
    let before = shares.share(of: 1, atSeconds: 20 * day)
    #expect(abs(shares.share(of: 1, atSeconds: 21 * day) / before - 0.5) < 0.001)
  }

  @Test("a tenant of twice the weight has half the share for the same holding")
  func weights() throws {
    var shares = try cluster()
    try shares.setWeight(2, of: 1)
    for tenant in [1, 2] { shares.take(try QueueDemand(gpus: 10), by: tenant, atSeconds: 0) }
    let (heavy, light) = (
      shares.share(of: 1, atSeconds: day), shares.share(of: 2, atSeconds: day)
    )
    #expect(abs(2 * heavy - light) < 1e-9)
  }

  @Test("what has just started counts at once, for its committed hour")
  func countsAhead() throws {
    var shares = try cluster()
    #expect(shares.share(of: 1, atSeconds: 5) == 0)
    shares.take(try QueueDemand(gpus: 10), by: 1, atSeconds: 5)
    #expect(shares.share(of: 1, atSeconds: 5) > 0)
  }

  @Test("time that goes backwards, or is none, counts as no time")
  func backwards() throws {
    var shares = try cluster()
    shares.take(try QueueDemand(gpus: 10), by: 1, atSeconds: day)
    let share = shares.share(of: 1, atSeconds: day)
    for time in [0, -day, .nan, -Double.infinity] {
      shares.setHeld(try QueueDemand(gpus: 10), by: 1, atSeconds: time)
      #expect(shares.share(of: 1, atSeconds: time) == share)
    }
  }

  @Test(
    "amounts that no gang takes are refused",
    arguments: [-1, Double.nan, .infinity, 1e13, 0])
  func hostile(amount: Double) {
    #expect(throws: IorunError.self) { try QueueDemand(gpus: amount) }
    #expect(throws: IorunError.self) {
      var shares = try cluster()
      try shares.setWeight(amount == 1e13 ? .nan : amount, of: 1)
    }
  }
}
