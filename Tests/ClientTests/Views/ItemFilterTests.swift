import Foundation
import IorunContract
import IorunCore
import Testing

@testable import IorunClient

@Suite("Filters of lists")
struct ItemFilterTests {
  private let listing = RuntimeListing(
    items: [
      #"{"task":"a","name":"f","state":"RUNNING","attempt":0,"nodeName":"node-1","isLast":true}"#,
      #"{"task":"b","name":"f","state":"FINISHED","attempt":1,"nodeName":"node-2","isLast":false}"#,
      #"{"task":"c","name":"g=1","state":"RUNNING","attempt":1,"nodeName":"node-2"}"#,
    ], truncated: false, silent: [])

  private func kept(_ filters: String..., limit: Int = .max) throws -> [String] {
    try RuntimeItems(
      .tasks, listing, filters: filters.map { try ItemFilter($0) }, limit: limit
    ).identifiers
  }

  @Test("keep items whose keys, as --json prints them, have the value or have not; all count")
  func values() throws {
    #expect(try kept() == ["a", "b", "c"])
    #expect(try kept("state=RUNNING") == ["a", "c"])
    #expect(try kept("state!=RUNNING") == ["b"])
    #expect(try kept("state=RUNNING", "node_name=node-2") == ["c"])
    #expect(try kept("attempt=1") == ["b", "c"])
    #expect(try kept("name=g=1") == ["c"])
    #expect(try kept("is_last=true") == ["a"])
    #expect(try kept("is_last=false") == ["b"])
    #expect(try kept("nodeName=node-1") == [])
    #expect(try kept("missing=") == ["a", "b", "c"])
  }

  @Test("what is filtered out does not count for the limit, and what is left out is told")
  func limit() throws {
    #expect(try kept("state=RUNNING", limit: 2) == ["a", "c"])
    let one = try RuntimeItems(
      .tasks, listing, filters: [ItemFilter("state=RUNNING")], limit: 1)
    #expect(one.identifiers == ["a"])
    #expect(try one.json().contains(#""truncated":true"#))
  }

  @Test("what is no filter is named", arguments: ["", "state", "=x", "!=x", "a b=c"])
  func faults(text: String) {
    let error = #expect(throws: IorunError.self) { try ItemFilter(text) }
    #expect(error?.code == .specInvalid)
  }
}
