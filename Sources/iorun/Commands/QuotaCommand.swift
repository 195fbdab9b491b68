internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun quota`: what tenants may take.
struct QuotaCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quota", abstract: "Say what tenants may take, and see what they have.",
    discussion: """
      A tenant is the owner that tickets name (`iorun ticket create --owner`), or a peer's id. What it \
      holds within its quota is its own; beyond it, it borrows what others of its cohort leave \
      unused, and the committed hour of a borrowed gang over, they can take that back.
      """,
    subcommands: [Set.self, Remove.self, List.self])

  /// `iorun quota set`.
  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a tenant a quota, a weight, or both.",
      discussion: "What is not named is not limited; a quota that was there is replaced.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tenant.")
    var tenant: String

    @Option(help: "The cohort whose tenants lend each other what they do not use.")
    var cohort = "default"

    @Option(help: "GPUs that are its own.")
    var gpus = 0

    @Option(help: "Cores that are its own.")
    var cpus = 0.0

    @Option(help: "Memory that is its own, such as 64GiB.")
    var memory: String?

    @Option(name: .customLong("borrow-gpus"), help: "The most GPUs that it borrows.")
    var borrowGPUs: Int?

    @Option(name: .customLong("borrow-cpus"), help: "The most cores that it borrows.")
    var borrowCPUs: Double?

    @Option(help: "Twice the weight, twice the share of what tenants compete for.")
    var weight = 1.0

    func validate() throws {
      guard (0...1_000_000).contains(gpus), (0...1_000_000).contains(cpus),
        (0...1_000_000).contains(borrowGPUs ?? 0), (0...1_000_000).contains(borrowCPUs ?? 0)
      else { throw ValidationError("amounts are numbers from 0 to 1,000,000") }
      guard TenantQuota.weights.contains(weight) else {
        throw ValidationError("--weight takes a number from 0.001 to 1000")
      }
    }

    func run() async throws {
      var nominal = ResourceSet(milliCPUs: Int((cpus * 1000).rounded()), gpus: gpus)
      if let memory {
        guard let bytes = Bytes(memory) else {
          throw IorunError(
            .specInvalid, "--memory: '\(memory)' is not allowed",
            remedy: "Give an amount such as 64GiB")
        }
        nominal.memory = bytes
      }
      var borrowing: ResourceSet?
      if borrowGPUs != nil || borrowCPUs != nil {
        borrowing = ResourceSet(
          milliCPUs: Int(((borrowCPUs ?? 0) * 1000).rounded()), gpus: borrowGPUs ?? 0)
      }
      let quota = TenantQuota(
        tenant: tenant, cohort: cohort, nominal: nominal, borrowing: borrowing, weight: weight)
      try quota.check()
      let status = try await client.withHead { try await $0.network.setQuota(quota) }
      Output.write(
        client.json
          ? try JSONOutput.line(TenantView(status))
          : TenantRendering.table([status]).render(Output.style))
    }
  }

  /// `iorun quota remove`.
  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take a tenant's quota and weight away.")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The tenant.")
    var tenant: String

    func run() async throws {
      try await client.withHead { try await $0.network.removeQuota(tenant) }
      let tenants = try await client.withHead { try await $0.network.tenants() }
      Output.write(
        client.json
          ? try JSONOutput.line(TenantsView(tenants)) : "\(tenant) has no quota any more\n")
    }
  }

  /// `iorun quota list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List tenants: quotas, what they hold, and their shares lately.")

    @OptionGroup var client: ClientOptions

    func run() async throws {
      let tenants = try await client.withHead { try await $0.network.tenants() }
      Output.write(
        client.json
          ? try JSONOutput.line(TenantsView(tenants))
          : TenantRendering.table(tenants).render(Output.style))
    }
  }
}
