/// The short names of accelerators that programs ask for: `accelerator_type="H200"`.
///
/// The rule is Ray's (`_private/accelerators/nvidia_gpu.py`), so that a program which asks for a type
/// there finds it here: after the brand, the words in capitals up to the first that has a digit, that
/// one cut where something else begins; `NVIDIA A100-SXM4-40GB` is `A100`, `NVIDIA RTX PRO 6000
/// Blackwell Server Edition` is `RTX-PRO-6000`. A name of another form is the product's, with hyphens:
/// `GeForce-RTX-4090`.
public enum AcceleratorType {
  /// The short name of a model; `nil` for a name that says nothing.
  public static func name(model: String) -> String? {
    let words = model.split(whereSeparator: \.isWhitespace).map(String.init)
    if words.count > 1, words[0].allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }),
      let short = capitals(words.dropFirst()), short.utf8.count > 1
    {
      return short
    }
    let product = words.first == "NVIDIA" ? words.dropFirst() : words[...]
    return product.isEmpty ? nil : product.joined(separator: "-")
  }

  private static func capitals(_ words: ArraySlice<String>) -> String? {
    var taken: [String] = []
    for word in words {
      let head = word.prefix { isCapital($0) || isDigit($0) }
      if head.contains(where: isDigit) { return (taken + [String(head)]).joined(separator: "-") }
      guard word.allSatisfy(isCapital) else { return nil }
      taken.append(word)
    }
    return nil
  }

  private static func isCapital(_ character: Character) -> Bool { ("A"..."Z").contains(character) }

  private static func isDigit(_ character: Character) -> Bool { ("0"..."9").contains(character) }
}
