"""What an export adds to a theorem's error: norms that are identities, and logarithms that are
exact where answers lie. Section 10 of proofs/README.md has the proofs."""
