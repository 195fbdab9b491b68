import Testing

@testable import IorunWorker

@Suite("The life of a relay's passes")
struct PassLifeTests {
  @Test("they are asked for anew at half of the life of the first to end")
  func half() {
    var life = PassLife()
    #expect(!life.isDue(at: 1_000_000))
    life.given([3000, 2000], at: 1000)
    #expect(!life.isDue(at: 1499))
    #expect(life.isDue(at: 1500))
    life.given([5000], at: 1500)
    #expect(!life.isDue(at: 3249))
    #expect(life.isDue(at: 3250))
  }

  @Test("what has ended, or where the clock jumped, is asked for at once; none is not")
  func over() {
    var life = PassLife()
    life.given([500], at: 1000)
    #expect(life.isDue(at: 1000))
    life.given([], at: 1000)
    #expect(!life.isDue(at: 9_000_000))
  }
}
