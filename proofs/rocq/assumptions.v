(* What the proof rests on: `check` compares this file's output with Stdlib's four axioms of real
   numbers and classical logic. *)
From Theorem1 Require Import statement theorem1 existence first_order instance leak_bound.
Check (theorem1 : theorem1_statement).
Definition all_theorems := (theorem1, @logarithmic_width, @leak_vanishes, @leak_first_order,
  @every_task, @answers_one_half, @leak_bound).
Print Assumptions all_theorems.
