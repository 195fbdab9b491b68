import IorunWorker
import Testing

@Suite("Accelerator types")
struct AcceleratorTypeTests {
  @Test(
    "A model's short name is Ray's",
    arguments: [
      ("NVIDIA H200", "H200"), ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA GH200 480GB", "GH200"),
      ("Tesla V100-SXM2-16GB", "V100"), ("Tesla T4", "T4"), ("NVIDIA A100-SXM4-40GB", "A100"),
      ("NVIDIA A10G", "A10G"), ("NVIDIA L40S", "L40S"), ("NVIDIA B200", "B200"),
      ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
      ("NVIDIA RTX A6000", "RTX-A6000"), ("NVIDIA GeForce RTX 5090", "GeForce-RTX-5090"),
      ("NVIDIA TITAN V", "TITAN-V"), ("A100", "A100"),
    ])
  func shortName(model: String, short: String) {
    #expect(AcceleratorType.name(model: model) == short)
  }

  @Test("A name that says nothing is none", arguments: ["", "  ", "NVIDIA", "NVIDIA  "])
  func nothing(model: String) {
    #expect(AcceleratorType.name(model: model) == nil)
  }
}
