import Testing

@testable import IorunMesh

struct ReplayWindowTests {
  @Test func `each counter is new once, in any order, and 0 never`() {
    var window = ReplayWindow()
    #expect(!window.isNew(0))
    for counter: UInt64 in [1, 3, 2, 64, 40, 65] {
      #expect(window.isNew(counter))
      window.took(counter)
      #expect(!window.isNew(counter))
    }
    #expect(!window.isNew(1), "64 behind the newest")
    #expect(window.isNew(4))
  }

  @Test func `a leap forgets what came before`() {
    var window = ReplayWindow()
    window.took(5)
    window.took(.max)
    #expect(!window.isNew(5))
    #expect(!window.isNew(.max))
    #expect(window.isNew(.max - 63))
    #expect(!window.isNew(.max - 64))
  }
}
