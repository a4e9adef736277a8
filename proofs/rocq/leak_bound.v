(* The leak as a function of numbers, and how to bound it by a rational: exponentials are bounded by
   powers of e, and e by its series. leaks.py writes a theorem for each of a few Specs with this. *)
From Theorem1 Require Import statement.
Require Import Lra.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* The leak as a function of the numbers that it is made of. *)
Definition leak_of (ss : bool) (K n n2 r X W b B c : R) (tau nu nub taug nug shut : R) : R :=
  let lifted := if ss then Rmax (2 * X * (3 * tau + nu)) (n2 * X * nu) else 0 in
  let rest := if ss then n2 * X * nu else 0 in
  let bos := if ss then n2 * X * nub else 0 in
  let Ef := B * lifted in let Ef_rest := B * rest in let Ef_bos := B * bos in
  let Ey := r * (n * tau + 2 * nu) in
  let misplaced := 3 * taug + 4 * nug + K * shut in
  let longest_feature := B * X + c + Ef + Ef_bos in
  let fetched := Ef + Ef_rest + K * Ef_bos + misplaced * longest_feature in
  let fetched_bos := Ef_bos + K * (Ef_bos + shut * longest_feature) in
  let longest_value := 2 * r + b + W * fetched + Ey in
  let value_bos := W * fetched_bos + r * nub in
  let executed := W * fetched + misplaced * (longest_value + value_bos) + K * value_bos in
  let idle := r * nu + K * (value_bos + shut * (longest_value + value_bos)) in
  executed + 2 * idle + (tau + 2 * nu) * (r + Ey + executed + idle).

Lemma leakE S C : leak S C = leak_of (sum_slot S) (INR (K S)) (INR (n S)) (INR (n0 S - 1)) (radius C)
  (input_radius C) (weight_norm C) (bias_norm C) (feature_norm C) (feature_bias_norm C)
  (tau S) (nu S) (nu_bos S) (tau_gate C) (nu_gate S C) (shut_gate S C).
Proof. by []. Qed.

(* It grows with the weights of losers. *)
Definition between x x' := 0 <= x <= x'.
Lemma between_add x x' y y' : between x x' -> between y y' -> between (x + y) (x' + y').
Proof. rewrite /between; lra. Qed.
Lemma between_mul x x' y y' : between x x' -> between y y' -> between (x * y) (x' * y').
Proof.
move=> [x0 xx] [y0 yy]; split; first exact: Rmult_le_pos.
by apply: Rmult_le_compat.
Qed.
Lemma between_max x x' y y' : between x x' -> between y y' -> between (Rmax x y) (Rmax x' y').
Proof.
move=> [x0 xx] [y0 yy]; split; first exact: Rle_trans x0 (Rmax_l _ _).
by apply: Rmax_lub; [apply: Rle_trans xx (Rmax_l _ _)|apply: Rle_trans yy (Rmax_r _ _)].
Qed.
Lemma leak_of_mono ss K n n2 r X W b B c tau nu nub taug nug shut tau' nu' nub' taug' nug' shut' :
  0 <= K -> 0 <= n -> 0 <= n2 -> 0 <= r -> 0 <= X -> 0 <= W -> 0 <= b -> 0 <= B -> 0 <= c ->
  between tau tau' -> between nu nu' -> between nub nub' ->
  between taug taug' -> between nug nug' -> between shut shut' ->
  leak_of ss K n n2 r X W b B c tau nu nub taug nug shut
  <= leak_of ss K n n2 r X W b B c tau' nu' nub' taug' nug' shut'.
Proof.
move=> K0 n_0 n20 r0 X0 W0 b0 B0 c0 h1 h2 h3 h4 h5 h6.
have same x : 0 <= x -> between x x by rewrite /between; lra.
suff : between (leak_of ss K n n2 r X W b B c tau nu nub taug nug shut)
               (leak_of ss K n n2 r X W b B c tau' nu' nub' taug' nug' shut') by case.
rewrite /leak_of; case: ss.
all: repeat (assumption || apply: between_add || apply: between_mul || apply: between_max ||
             (apply: same; first [assumption | lra])).
Qed.

(* e from below, and with it e^-t from above. *)
Fixpoint term (k : nat) : R := if k is k'.+1 then term k' / (INR k' + 1) else 1.
Fixpoint series (k : nat) : R := if k is k'.+1 then series k' + term k else 1.
Lemma termE k : / INR (fact k) * 1 ^ k = term k.
Proof.
rewrite pow1 Rmult_1_r; elim: k => [|k IH]; first by rewrite /= Rinv_1.
by rewrite fact_simpl mult_INR Rinv_mult IH S_INR /Rdiv Rmult_comm.
Qed.
Lemma term_gt0 k : 0 < term k.
Proof.
by elim: k => [|k IH] /=; [lra|apply: Rdiv_lt_0_compat => //; move: (pos_INR k); lra].
Qed.
Lemma seriesE k : E1 1 k = series k.
Proof.
elim: k => [|k IH]; first by rewrite /E1 /= Rinv_1 Rmult_1_r.
by rewrite (_ : E1 1 k.+1 = E1 1 k + / INR (fact k.+1) * 1 ^ k.+1) // IH termE.
Qed.
Lemma series_le_e k : series k <= exp 1.
Proof.
rewrite -seriesE; apply: (growing_ineq _ _ _ (E1_cvg 1)) => j; rewrite !seriesE.
rewrite (_ : series j.+1 = series j + term j.+1) //; move: (term_gt0 j.+1); lra.
Qed.
Lemma e_ge : 271828182845 / 100000000000 <= exp 1.
Proof. by apply: (Rle_trans _ _ _ _ (series_le_e 15)); rewrite /=; lra. Qed.
Lemma exp_nat k : exp (INR k) = exp 1 ^ k.
Proof. by elim: k => [|k IH]; [rewrite exp_0|rewrite S_INR exp_plus IH /= Rmult_comm]. Qed.
Lemma exp_minus_le (k : nat) a : 0 < a -> 1 <= a * (271828182845 / 100000000000) ^ k ->
  exp (- INR k) <= a.
Proof.
move=> a0 big; rewrite exp_Ropp exp_nat.
have p0 : 0 < exp 1 ^ k by apply: pow_lt; apply: exp_pos.
apply: (Rmult_le_reg_r _ _ _ p0); rewrite Rinv_l; last lra.
apply: (Rle_trans _ _ _ big); apply: Rmult_le_compat_l; first lra.
by apply: pow_incr; split; [lra|exact: e_ge].
Qed.
(* A coldness that is d less than a whole number. *)
Lemma exp_less_le t d a : exp (- t) <= a -> 0 <= d < 1 -> exp (- (t - d)) <= a / (1 - d).
Proof.
move=> ta [d0 d1]; rewrite (_ : - (t - d) = - t + d); last by lra.
rewrite exp_plus; apply: Rmult_le_compat; try (by apply: Rlt_le; apply: exp_pos); first by [].
have := exp_ineq1_le (- d); rewrite exp_Ropp => low.
have p0 := exp_pos d; apply: (Rmult_le_reg_l (1 - d)); first lra.
rewrite Rinv_r; last lra.
apply: (Rmult_le_reg_r (/ exp d)); first exact: Rinv_0_lt_compat.
rewrite Rmult_assoc Rinv_r; last lra.
lra.
Qed.

Lemma exp_twice x : exp (- (2 * x)) = exp (- x) * exp (- x).
Proof. by rewrite -exp_plus; congr exp; ring. Qed.
Lemma exp_thrice x : exp (- (3 * x)) = exp (- x) * exp (- x) * exp (- x).
Proof. by rewrite -!exp_plus; congr exp; ring. Qed.
Lemma INR_to k z : Z.of_nat k = z -> INR k = IZR z.
Proof. by move=> <-; exact: INR_IZR_INZ. Qed.

Lemma leak_bound S C (t : nat) d a g p :
  T S = INR t -> T_gate C = INR t - d -> 0 <= d < 1 -> 0 < a ->
  1 <= a * (271828182845 / 100000000000) ^ t -> a / (1 - d) <= g ->
  [/\ 0 <= radius C, 0 <= input_radius C, 0 <= weight_norm C & 0 <= bias_norm C] ->
  0 <= feature_norm C /\ 0 <= feature_bias_norm C ->
  let N := INR (tokens S) in
  leak_of (sum_slot S) (INR (K S)) (INR (n S)) (INR (n0 S - 1)) (radius C)
    (input_radius C) (weight_norm C) (bias_norm C) (feature_norm C) (feature_bias_norm C)
    a (N * (a * a)) (N * (a * a * a)) g (N * (g * g)) (g * g + N * (g * g * (g * g))) <= p ->
  leak S C <= p.
Proof.
move=> hT hg d01 a0 big hga [r0 X0 W0 b0] [B0 c0] N le; rewrite leakE.
have ha : between (exp (- T S)) a.
  by split; [apply: Rlt_le; apply: exp_pos|rewrite hT; exact: exp_minus_le].
have hgt : between (exp (- T_gate C)) g.
  split; first by apply: Rlt_le; apply: exp_pos.
  by rewrite hg; apply: Rle_trans hga; apply: exp_less_le => //; rewrite -hT; case: ha.
have hN : between N N by split; [exact: pos_INR|lra].
apply: Rle_trans (leak_of_mono _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _) le;
  rewrite ?/tau ?/nu ?/nu_bos ?/tau_gate ?/nu_gate ?/shut_gate ?/tau_at ?/nu_at
    ?exp_thrice ?exp_twice ?exp_twice ?exp_twice ?exp_twice //; try exact: pos_INR;
  by repeat (exact ha || exact hgt || exact hN || apply: between_add || apply: between_mul).
Qed.
