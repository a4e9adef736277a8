(* What the proof rests on: `check` compares this file's output with Stdlib's four axioms of real
   numbers and classical logic. *)
From Theorem1 Require Import statement theorem1.
Check (theorem1 : theorem1_statement).
Print Assumptions theorem1.
