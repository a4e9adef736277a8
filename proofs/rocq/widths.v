(* How wide the stream is: D = 2d + [r] + ceil(log2(m+1)) + ceil(log2 n) + 9 [+ 1] coordinates are
   at most 2d + [r] + log2(m n) + 11 [+ 1], whatever the number of tasks: the theorem's
   O(d + log(mn)) with its constants. [r] counts only with ReLU features, [+ 1] with a sum slot. *)
From Theorem1 Require Import sums.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Definition log2 (x : R) : R := ln x / ln 2.

Lemma ln2_gt0 : 0 < ln 2.
Proof. by rewrite -ln_1; apply: ln_increasing; lra. Qed.

Lemma le_log2 (k : nat) (x : R) : 2 ^ k <= x -> INR k <= log2 x.
Proof.
move=> kx; have p0 : 0 < 2 ^ k by apply: pow_lt; lra.
apply: (Rmult_le_reg_r (ln 2)); first exact: ln2_gt0.
rewrite /log2 /Rdiv Rmult_assoc Rinv_l ?Rmult_1_r; last by have := ln2_gt0; lra.
rewrite -ln_pow; last by lra.
by case: kx => [lt | <-]; [apply/Rlt_le/ln_increasing | exact: Rle_refl].
Qed.

Lemma INR_expn (k : nat) : INR (2 ^ k)%N = 2 ^ k.
Proof. by elim: k => [|k IH] //; rewrite expnS -multE mult_INR IH /=; lra. Qed.

(* One bit more than log2 is enough. *)
Lemma up_log_le (n : nat) : (1 < n)%N -> exists2 k, up_log 2 n = k.+1 & (2 ^ k < n)%N.
Proof.
move=> n1; have /andP [lo _] := up_log_bounds (isT : (1 < 2)%N) n1.
have : (0 < up_log 2 n)%N by rewrite up_log_gt0.
by move: lo; case: (up_log 2 n) => // k lo _; exists k.
Qed.

Theorem width_bound (S : spec) : (0 < m S)%N -> (0 < n0 S)%N ->
  INR (embedding_dim S) <= 2 * INR (dim S) + INR (stored (phi S)) + log2 (INR (m S) * INR (n S))
                           + 11 + (if sum_slot S then 1 else 0).
Proof.
move=> m0 n1; rewrite /embedding_dim /ebits /sbits.
have [ke -> he] := up_log_le (m0 : (1 < (m S).+1)%N).
have [ks -> hs] := up_log_le (n1 : (1 < n S)%N).
have em : INR ke <= log2 (INR (m S)) by apply: le_log2; rewrite -INR_expn; apply/le_INR/leP.
have sn : INR ks <= log2 (INR (n S)) by apply: le_log2; rewrite -INR_expn; apply/le_INR/leP/ltnW.
have -> : log2 (INR (m S) * INR (n S)) = log2 (INR (m S)) + log2 (INR (n S)).
  rewrite /log2 ln_mult; first by field; have := ln2_gt0; lra.
    by apply/lt_0_INR/ltP.
  by apply/lt_0_INR/ltP.
move: em sn; move: (log2 (INR (m S))) (log2 (INR (n S))) => a b em sn.
rewrite mul2n -addnn -!plusE !plus_INR !S_INR.
by case: (sum_slot S) => /=; lra.
Qed.
