public import IorunCore

/// Ways to serve a request on the nodes of a live network. The first is where placement would put it on the
/// same state; the others differ from each other in price, round trips and reliability.
///
/// What may be used and for how many ranks it has room is what placement itself found (`NodeRanking`), so
/// that offers and placement cannot disagree.
public struct OfferTable: Sendable {
  /// What offers differ in, of one node.
  public struct Worth: Sendable, Hashable {
    /// Millionths of a dollar for an hour of one GPU, or of one core where none is asked for.
    public var microdollarsPerHour: Int
    /// The part of its promised time that it served, from 0 to 1.
    public var reliability: Double
    /// What is certified of it.
    public var security: SecurityLabels

    /// Describes a node's worth.
    public init(microdollarsPerHour: Int, reliability: Double, security: SecurityLabels = []) {
      self.microdollarsPerHour = microdollarsPerHour
      self.reliability = reliability
      self.security = security
    }
  }

  /// The words of the first offer.
  public static let placedWords = "placed so now"

  /// Where placement would put it now.
  public let placement: GangPlacement
  private let planner: GangPlanner
  private let demand: GangDemand
  private let strategies: [GangDemand.Strategy]

  /// - Parameters:
  ///   - eligible: the nodes that placement may use, with room, and for how many ranks each has it.
  ///   - spares: places that are wanted beside the gang.
  ///   - worth: what a node costs and how reliable it is.
  init(
    _ placement: GangPlacement, of request: GangRequest, on eligible: [GangSeat], sites: NodeSites,
    spares: Int, worth: (NodeOffer) -> Worth
  ) throws(IorunError) {
    var devices = DeviceInventory()
    let rank = Self.unit(request.resources)
    for seat in eligible {
      let worth = worth(seat.offer)
      let row = try Self.add(
        DeviceOffer(
          id: seat.offer.node, supplier: seat.offer.supplier,
          hardware: HardwareClass(model: rank.gpus > 0 ? seat.offer.gpus.first?.model ?? "" : ""),
          capacity: Self.room(for: min(seat.slots, request.ranks + spares), each: rank),
          place: DevicePlace(country: seat.offer.region), security: worth.security,
          microdollarsPerHour: min(max(0, worth.microdollarsPerHour), DeviceOffer.mostMicrodollars),
          reliability: worth.reliability > 0 ? min(1, worth.reliability) : 0),
        to: &devices)
      devices.locate(row, site: sites.siteOf[seat.offer.node], hasDoubtfulPlace: false)
    }
    self.placement = placement
    planner = GangPlanner(devices, matrix: sites.matrix)
    strategies = ([request.placement] + request.fallbacks).map { GangDemand.Strategy($0) }
    demand = GangDemand(
      bundles: [GangDemand.Bundle(count: request.ranks, need: rank)], strategy: strategies[0],
      fallbacks: Array(strategies.dropFirst()), limits: request.limits, spares: spares)
  }

  private static func add(
    _ offer: DeviceOffer, to devices: inout DeviceInventory
  ) throws(IorunError) -> Int {
    do {
      return try devices.add(offer)
    } catch let error as IorunError {
      throw error
    } catch {
      throw IorunError(.internalFault, "a node cannot be offered: \(error)")
    }
  }

  /// What a rank is counted by: the GPUs that it pays for, or the cores. Room for it was found before.
  private static func unit(_ resources: ResourceSet) -> ResourceSet {
    resources.gpus > 0
      ? ResourceSet(milliCPUs: 0, gpus: resources.gpus)
      : ResourceSet(milliCPUs: max(1, resources.milliCPUs), gpus: 0)
  }

  /// Room for so many ranks, or as many as a row of the inventory can have.
  private static func room(for ranks: Int, each rank: ResourceSet) -> ResourceSet {
    rank.gpus > 0
      ? ResourceSet(
        milliCPUs: 0, gpus: max(1, min(ranks, DeviceOffer.mostDevices / rank.gpus)) * rank.gpus)
      : ResourceSet(
        milliCPUs: max(1, min(ranks, DeviceOffer.mostMilliCPUs / rank.milliCPUs)) * rank.milliCPUs,
        gpus: 0)
  }

  /// The first is where it would be placed now; then others by price, and alternatives after them where
  /// there is little to choose from.
  public var offers: [GangOffer] {
    let placed = placedChoice
    let shares = Self.shares(placed)
    var words = [Self.placedWords]
    var others: [GangOffer] = []
    for offer in OfferSearch(planner).offers(demand) {
      // The same nodes once: what speaks for them beside it.
      guard Self.shares(offer.choice) == shares else {
        others.append(offer)
        continue
      }
      if !offer.isDominated { words.append(offer.words) }
    }
    return [GangOffer(choice: placed, words: words.joined(separator: ", "))]
      + others.prefix(OfferSearch.most - 1)
  }

  private var placedChoice: GangChoice {
    let members = placement.members.compactMap { member in
      planner.inventory.row(of: member.node).map {
        GangChoice.Member(kind: 0, row: $0, device: member.node)
      }
    }
    let fallback = strategies.indices.contains(placement.fallback) ? placement.fallback : 0
    return planner.choice(
      demand, (members, [], placement.lowerBoundMilliseconds ?? 0), strategies[fallback],
      fallback: fallback, eligible: placement.eligible)
  }

  private static func shares(_ choice: GangChoice) -> [PeerID: Int] {
    choice.members.reduce(into: [:]) { $0[$1.device, default: 0] += 1 }
  }
}

extension NodeInventory {
  /// What becomes of a request, as `place` answers, with ways to serve it where it is placed.
  ///
  /// - Parameters:
  ///   - spares: places that are wanted beside the gang.
  ///   - worth: what a node costs and how reliable it is.
  /// - Throws: `deviceInvalid` for a worth that no node has, `overloaded` for more nodes than an
  ///   inventory of devices holds.
  public mutating func offers(
    for request: GangRequest, terms: Int = 0, spares: Int = 0,
    bars: (NodeOffer) -> Bool = { _ in false }, worth: (NodeOffer) -> OfferTable.Worth
  ) throws(IorunError) -> (answer: Answer, table: OfferTable?) {
    let answer = place(request, terms: terms, bars: bars)
    guard case .placed(let placement) = answer else { return (answer, nil) }
    let table = try OfferTable(
      placement, of: request, on: seats(for: request, terms: terms, bars: bars), sites: sites,
      spares: spares, worth: worth)
    return (answer, table)
  }
}
