(* Theorem 1, proved: the seven lemmas in order. What it says is statement.v, where everything that
   it speaks of is defined; `theorem1_statement` is its last definition. *)
From Theorem1 Require Import sums stream stages layer1_lift layer2_pair layer3_recognize
  layer4_commit.
From Theorem1 Require Import layer5_fetch layer6_execute layer7_superpose widths.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Theorem theorem1 : theorem1_statement.
Proof.
move=> S C adm P wi; split=> //; split; first exact: width_formula.
have h1 := lift_lemma adm wi.
have h2 := pair_lemma adm wi h1.
have h3 := recognize_lemma adm wi h2.
have h4 := commit_lemma adm wi h3.
have h5 := fetch_lemma adm wi h4.
have h6 := execute_lemma adm wi h5.
exact: (superpose_lemma adm wi h6).
Qed.

(* The width is logarithmic in the number of examples and tokens, and K does not appear in it. *)
Corollary logarithmic_width (S : spec) (C : consts) : admissible S C ->
  INR #|coord_finType S| <= 2 * INR (dim S) + INR (stored (phi S)) + log2 (INR (m S) * INR (n S))
                            + 11 + (if sum_slot S then 1 else 0).
Proof.
move=> adm; rewrite width_formula; apply: width_bound; first exact: (some_example adm).
exact: leq_ltn_trans (leq0n _) (some_input adm).
Qed.
