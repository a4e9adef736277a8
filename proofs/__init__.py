"""The proof: statements and computable bounds, one module a lemma. No weights are seen here, only a
Spec and its gains."""
