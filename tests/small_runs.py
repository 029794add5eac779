"""A configuration of ``torchml-core train`` that takes a second."""

CONFIG = """\
data: {train: silicon.extxyz, validation: 0.25, test: 0.2}
output: out
descriptor:
  kind: SymmetryFunctions
  cutoff: 4.0
  functions: [[g2, [[0.1, 0.0], [1.0, 2.3], [1.0, 3.0]]], [g4, [[1, 1, 0.1], [2, -1, 0.1]]]]
network: {hidden: [4], epochs: 4, batch_size: 4}
"""
