internal import CPoW
internal import Dispatch
internal import Foundation
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

extension KernelBench {
  /// Labels, walks, and what a walk costs whoever left a tenth of the labels out.
  func memoryRows() throws -> [Row] {
    guard let seed = Digest(bytes: [UInt8](repeating: 3, count: 32)) else { return [] }
    let labels = walkBytes / 32
    let table = try LabelTable(seed: seed, count: labels)
    let chain = Chain(seed: seed.bytes)
    let fill = rate(1) { _ in
      chain.fill(table.base, first: 0, count: 4096, steps: 32)
      return 4096
    }
    // What stands in the labels does not change how fast a walk is, only which way it takes: zeros
    // are not among them, so every page is there.
    for word in stride(from: 0, to: labels * 8, by: 8) {
      table.base[word] = UInt32(truncatingIfNeeded: word &* 0x9E37_79B9)
    }
    let walkers = MemoryPuzzle.walkersPerCore
    let tags = (0..<UInt32(walkers)).map { $0 }
    let states = Mutex((0..<8 * UInt32(walkers)).map { $0 &* 0x9E37_79B9 })
    let walk = rate(1) { _ in
      states.withLock {
        chain.walk(&$0, tags: tags, labels: table.base, count: UInt64(labels), steps: 256)
      }
      return walkers * 256
    }
    let whole = rate(1) { _ in self.walk(chain, table, states, keptTenths: 10) }
    let partial = rate(1) { _ in self.walk(chain, table, states, keptTenths: 9) }
    return [
      row("mem/fill", 1, fill, "labels/s"), row("mem/walk-48", 1, walk, "steps/s"),
      row(
        "mem/walk-48/10-percent-missing", 1, partial, "steps/s",
        reference: ("the same code with all labels", whole)),
    ]
  }

  /// A walk that makes labels above a bound anew, all that one step of all walkers misses at once:
  /// the best that a prover with too little memory can do.
  private func walk(
    _ chain: Chain, _ table: LabelTable, _ states: borrowing Mutex<[UInt32]>, keptTenths: Int
  ) -> Int {
    let walkers = MemoryPuzzle.walkersPerCore
    let tags = (0..<UInt32(walkers)).map { $0 }
    let bound = UInt64(table.count / 10 * keptTenths + (keptTenths == 10 ? table.count % 10 : 0))
    states.withLock { states in
      var missing: [UInt32] = []
      var who: [Int] = []
      for _ in 0..<64 {
        missing.removeAll(keepingCapacity: true)
        who.removeAll(keepingCapacity: true)
        for walker in 0..<walkers {
          let base = 8 * walker
          let place = Chain.place(states[base], states[base + 1], of: UInt64(table.count))
          if place >= bound {
            missing += Chain.labelStart(place)
            who.append(base)
          } else {
            let label = table.base + 8 * Int(place)
            for word in 0..<8 { states[base + word] ^= label[word] }
          }
        }
        if !who.isEmpty {
          chain.advance(
            &missing, tags: [UInt32](repeating: Chain.labelTag, count: who.count), steps: 32)
          for (index, base) in who.enumerated() {
            for word in 0..<8 { states[base + word] ^= missing[8 * index + word] }
          }
        }
        chain.advance(&states, tags: tags, steps: 1)
      }
    }
    return 64 * walkers
  }

  /// Complete proofs checked a second, by session and by signature, beside the signature check alone.
  func proofRows() throws -> [Row] {
    let issuer = try ChallengeIssuer(secret: [UInt8](repeating: 1, count: 32))
    let (verifier, key) = (Verifier(issuer), try SigningKey())
    guard let beacon = Digest(bytes: [UInt8](repeating: 2, count: 32)) else { return [] }
    let challenge = try issuer.challenge(
      .hash(HashPuzzle(milliseconds: 1)), for: DeviceID(key), epoch: 1, beacon: beacon, round: 0,
      opensAtMilliseconds: 0, deadlineMilliseconds: 1000)
    let search = HashSearch(prefix: challenge.hashPrefix, epoch: 1)
    var sketch = BottomK()
    let nonces = (0..<UInt64(20_000)).map { $0 }
    for (value, nonce) in zip(search.values(of: nonces), nonces) {
      sketch.insert(value, nonce: nonce)
    }
    let answer = Answer.sketch(sketch.entries.map(\.nonce))
    let here = PeerID(high: 1, low: 1)
    let offer = try ProofSession.Offer(to: here, epoch: 1, beacon: beacon, key: key)
    let session = try ProofSession.accept(offer.hello, by: here, beacon: beacon).session
    let sealed = try Proof(challenge, answer, signedBy: .session(session))
    let signed = try Proof(challenge, answer, signedBy: .device(key))
    func check(_ proof: Proof, _ submitter: Verifier.Submitter) -> Double {
      rate(1) { _ in
        (0..<50).reduce(0) { count, _ in
          let verdict = try? verifier.verdict(
            on: proof, from: submitter, epoch: 1, arrivalMilliseconds: 10)
          return count + (verdict?.isAccepted == true ? 1 : 0)
        }
      }
    }
    let verifying = try key.verifyingKey
    let text = [UInt8](repeating: 1, count: 160)
    let signature = try key.sign(text)
    let ed25519 = rate(1) { _ in
      (0..<50).reduce(0) { count, _ in
        count + (verifying.isValid(signature: signature, for: text) ? 1 : 0)
      }
    }
    let opened = rate(1) { _ in
      (0..<50).reduce(0) { count, _ in
        count + ((try? ProofSession.accept(offer.hello, by: here, beacon: beacon)) == nil ? 0 : 1)
      }
    }
    // What a session costs is paid once an hour, by a device that hands in ten proofs at least
    // (three rounds each of lanes, searches and memory, and one that did not decide).
    let (proofs, bySession) = (10.0, check(sealed, .session(session)))
    let withOpening = bySession > 0 && opened > 0 ? proofs / (proofs / bySession + 1 / opened) : 0
    return [
      row("openssl/ed25519-verify", 1, ed25519, "checks/s"),
      row(
        "verify/session/open", 1, opened, "sessions/s",
        reference: ("OpenSSL Ed25519 verify", ed25519)),
      row(
        "verify/cpu.hash/session", 1, bySession, "proofs/s",
        reference: ("OpenSSL Ed25519 verify", ed25519)),
      row(
        "verify/cpu.hash/session-and-its-opening", 1, withOpening, "proofs/s",
        reference: ("OpenSSL Ed25519 verify", ed25519)),
      row(
        "verify/cpu.hash/signature", 1, check(signed, .anybody), "proofs/s",
        reference: ("OpenSSL Ed25519 verify", ed25519)),
    ]
  }

  /// Seconds from a challenge to the first hashes, and from a pause until all threads stand still.
  func latencyRows() throws -> [Row] {
    let issuer = try ChallengeIssuer(secret: [UInt8](repeating: 1, count: 32))
    guard let beacon = Digest(bytes: [UInt8](repeating: 2, count: 32)) else { return [] }
    func challenge(_ puzzle: Puzzle) throws -> Challenge {
      try issuer.challenge(
        puzzle, for: DeviceID(SigningKey()), epoch: 1, beacon: beacon, round: 0,
        opensAtMilliseconds: 0, deadlineMilliseconds: 1000)
    }
    let puzzles: [Puzzle] = [
      .hash(try HashPuzzle(milliseconds: 60_000)),
      .lane(try LanePuzzle(cores: 2, depth: 12, nodeSteps: 65_536)),
      .memory(try MemoryPuzzle(labels: 1 << 22, labelSteps: 256, cores: 2, segments: 64)),
      .product(try ProductPuzzle(size: 4096, layers: 8)),
    ]
    var rows: [Row] = []
    for puzzle in puzzles {
      var (first, pause) = ([Double](), [Double]())
      for _ in 0..<trials {
        let challenge = try challenge(puzzle)
        let start = ContinuousClock.now
        let solver = try Solver(challenge, threads: 2)
        let done = DispatchSemaphore(value: 0)
        Task.detached {
          _ = try? await solver.solve()
          done.signal()
        }
        while solver.progress.done == 0 { usleep(50) }
        first.append((ContinuousClock.now - start) / .seconds(1))
        let held = ContinuousClock.now
        solver.pause()
        while !solver.isIdle { usleep(50) }
        pause.append((ContinuousClock.now - held) / .seconds(1))
        solver.cancel()
        done.wait()
      }
      let kind = puzzle.kind.rawValue
      if case .hash = puzzle { rows.append(row("latency/first/\(kind)", 2, median(first), "s")) }
      rows.append(row("latency/pause/\(kind)", 2, median(pause), "s"))
    }
    return rows
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
