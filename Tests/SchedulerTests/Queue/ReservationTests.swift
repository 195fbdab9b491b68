import Testing

@testable import IorunScheduler

@Suite("Reservations and lengths")
struct ReservationTests {
  private func gpus(_ count: Double) -> QueueDemand {
    QueueDemand(amounts: SIMD4(count, 0, 0, 0))
  }

  @Test("others go first where they end before the shadow time, or fit beside the gang")
  func easy() {
    var reservation = Reservation(
      for: gpus(8), free: gpus(4),
      releases: [
        .init(atSeconds: .nan, demand: gpus(50)), .init(atSeconds: 200, demand: gpus(3)),
        .init(atSeconds: 100, demand: gpus(3)), .init(atSeconds: 300, demand: gpus(9)),
      ])
    #expect(reservation.shadowSeconds == 200)
    let admitted = [
      reservation.admit(gpus(1), endsBySeconds: 201),
      reservation.admit(gpus(2), endsBySeconds: .infinity),
      reservation.admit(gpus(2), endsBySeconds: 200),
      reservation.admit(gpus(1), endsBySeconds: .infinity),
    ]
    // 10 are free at 200 s: 2 beside the gang. The first took one of them.
    #expect(admitted == [true, false, true, true])
  }

  @Test("where no end is known nothing goes past, and nothing takes what is not there")
  func unknown() {
    var reservation = Reservation(for: gpus(8), free: gpus(4), releases: [])
    #expect(reservation.shadowSeconds == .infinity)
    let admitted = reservation.admit(gpus(1), endsBySeconds: .infinity)
    let late = reservation.admit(gpus(1), endsBySeconds: 5)
    #expect(!admitted && !late)
  }

  @Test("the rest of a heavy-tailed length grows with the age")
  func survival() throws {
    var curve = SurvivalCurve()
    #expect(curve.remainingSeconds(atAgeSeconds: 0, quantile: 0.5) == nil)
    for power in 0..<16 {
      for _ in 0..<(1 << (16 - power)) { curve.ended(afterSeconds: Double(1 << power)) }
    }
    for bad in [-1, Double.nan, .infinity] { curve.ended(afterSeconds: bad) }
    #expect(curve.samples == (0..<16).reduce(0) { $0 + 1 << (16 - $1) })
    let young = try #require(curve.remainingSeconds(atAgeSeconds: 0, quantile: 0.9))
    let old = try #require(curve.remainingSeconds(atAgeSeconds: 1000, quantile: 0.9))
    #expect(young < 20 && old > 1000)
    #expect(curve.remainingSeconds(atAgeSeconds: 1e9, quantile: 0.9) == nil)
  }
}
