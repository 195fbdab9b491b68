import Foundation
import IorunCore
import IorunMesh
import Testing

/// The text that lets a new peer in.
struct TicketTests {
  private func reads(_ text: String) -> IorunError? {
    do {
      _ = try Ticket(text)
      return nil
    } catch { return error as? IorunError }
  }

  @Test(
    "a ticket's text comes back as the same ticket",
    arguments: ["10.0.0.1:7070", "head.example.org:1", "[::1]:65535", "a:7"])
  func roundTrip(_ address: String) throws {
    let ticket = try Ticket(address: address, headKey: CurveKey().publicKey)
    let back = try Ticket(ticket.text)
    #expect(back.address == address)
    #expect(back.headKey == ticket.headKey)
    #expect(try back.key().publicKey == ticket.key().publicKey)
  }

  @Test func `two tickets have different secrets`() throws {
    let key = try CurveKey().publicKey
    let one = try Ticket(address: "a:1", headKey: key)
    let two = try Ticket(address: "a:1", headKey: key)
    #expect(try one.key().publicKey != two.key().publicKey)
  }

  @Test func `spaces and line breaks that a mail program added do no harm`() throws {
    let text = try Ticket(address: "10.0.0.1:7070", headKey: CurveKey().publicKey).text
    let middle = text.index(text.startIndex, offsetBy: 30)
    #expect(try Ticket(" \(text[..<middle])\r\n  \(text[middle...])\n").text == text)
  }

  @Test func `a changed character anywhere is refused`() throws {
    let text = try Ticket(address: "10.0.0.1:7070", headKey: CurveKey().publicKey).text
    let characters = Array(text)
    for index in characters.indices {
      var changed = characters
      changed[index] = changed[index] == "2" ? "3" : "2"
      let error = reads(String(changed))
      #expect(error?.code == .ticketInvalid, "character \(index)")
      #expect(error?.remedy != nil)
    }
  }

  @Test func `a ticket cut off anywhere is refused`() throws {
    let text = try Ticket(address: "10.0.0.1:7070", headKey: CurveKey().publicKey).text
    for count in 0..<text.count {
      #expect(reads(String(text.prefix(count)))?.code == .ticketInvalid, "\(count) characters")
    }
  }

  @Test func `text that goes on after the ticket, and text that is none, are refused`() throws {
    let text = try Ticket(address: "10.0.0.1:7070", headKey: CurveKey().publicKey).text
    for wrong in [text + "a", text + text, "", "hello", "iorun1", "iorun1!!!!", "iorun2" + text] {
      #expect(reads(wrong)?.code == .ticketInvalid, "\(wrong)")
    }
  }

  @Test func `a ticket for what is no address is refused`() throws {
    let text = try Ticket(address: "no-port", headKey: CurveKey().publicKey).text
    #expect(reads(text)?.code == .ticketInvalid)
  }

  @Test(
    "addresses are HOST:PORT",
    arguments: [
      ("10.0.0.1:7070", true), ("host:1", true), ("[::1]:80", true), ("host:65535", true),
      ("host", false), (":80", false), ("host:0", false), ("host:65536", false),
      ("host:-1", false), ("host:+1", false), ("::1:80", false), ("[]:80", false),
      ("[::1:80", false),
      ("ho st:80", false), ("host:", false), ("", false), ("hö:1", false), ("tcp://h:1", false),
      ("[a b]:80", false),
    ])
  func addresses(_ text: String, _ isAddress: Bool) {
    #expect(Ticket.isAddress(text) == isAddress, "\(text)")
  }
}
