public import ArgumentParser
internal import IorunClient
internal import IorunContract
public import IorunCore

/// `iorun ticket`: who may join.
struct TicketCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ticket", abstract: "Make, list and revoke tickets, which let peers join.",
    subcommands: [Create.self, List.self, Revoke.self])

  /// `iorun ticket create`.
  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a ticket and print it once.",
      discussion: "A ticket is a secret until it is used. Only its text lets a peer in.")

    @OptionGroup var client: ClientOptions

    @Option(help: "What its user may do: supplier, buyer or operator.")
    var role: Role

    @Option(help: "The tenant whose peers its users become: they see each other's jobs.")
    var owner = ""

    @Option(
      name: .customLong("peer-label"),
      help: "KEY=VALUE: what their certificates say of its users; may be given several times.")
    var peerLabels: [String] = []

    @Option(help: "How many peers may join with it.")
    var uses = 1

    @Option(help: "For how long it is good, such as 30m, 12h or 7d.")
    var lifetime = "1h"

    @Option(help: "A remark for your list.")
    var label = ""

    func run() async throws {
      guard let seconds = TimeSpan.seconds(lifetime) else {
        throw IorunError(
          .specInvalid, "--lifetime: '\(lifetime)' is no time", remedy: TimeSpan.allowed)
      }
      var labels: [String: String] = [:]
      for label in peerLabels {
        guard let split = label.firstIndex(of: "="), split > label.startIndex else {
          throw IorunError(
            .specInvalid, "--peer-label: '\(label)' is not allowed", remedy: "Give KEY=VALUE")
        }
        labels[String(label[..<split])] = String(label[label.index(after: split)...])
      }
      let request = TicketRequest(
        role: role, owner: owner, labels: labels, uses: uses, lifetimeSeconds: seconds, label: label
      )
      let text = try await client.withHead { try await $0.network.createTicket(request) }
      Output.write(
        client.json ? try JSONOutput.line(NewTicketView(text: text, request: request)) : text + "\n"
      )
    }
  }

  /// `iorun ticket list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List tickets, the newest first.")

    @OptionGroup var client: ClientOptions

    func run() async throws {
      let tickets = try await client.withHead { try await $0.network.tickets() }
      Output.write(
        client.json
          ? try JSONOutput.line(TicketsView(tickets))
          : TicketRendering.table(tickets, now: Output.now).render(Output.style))
    }
  }

  /// `iorun ticket revoke`.
  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a ticket useless. Peers that joined with it stay.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The ticket's id, as `iorun ticket list` shows it.")
    var ticket: String

    func run() async throws {
      try await client.withHead { try await $0.network.revokeTicket(ticket) }
      Output.write(
        client.json ? try JSONOutput.line(["revoked": ticket]) : "revoked \(ticket)\n")
    }
  }
}

extension Role: ExpressibleByArgument {}
