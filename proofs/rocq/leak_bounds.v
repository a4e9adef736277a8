(* The leak as a number. In words: `leak` is made of sums and products of numbers that are not
   negative, so it is at most the same formula with any upper bounds t of exp(-T) and g of
   exp(-T_gate); and exp(-T) is bounded by a rational through exp(-x) <= 1 / (1 + x) at x = T /
   2^k and k squarings. leaks.py writes such bounds for given Specs. *)
From Theorem1 Require Import sums signs.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Lemma exp_start x r : 0 <= x -> 1 <= r * (1 + x) -> exp (- x) <= r.
Proof.
move=> x0 r1; rewrite exp_Ropp; have := exp_ineq1_le x => e1; have e0 := exp_pos x.
have r0 : 0 <= r by nra.
apply: (Rmult_le_reg_r (exp x)) => //; rewrite Rinv_l; last by lra.
by apply: Rle_trans r1 _; apply: Rmult_le_compat_l.
Qed.
Lemma exp_double x y r r' : y = 2 * x -> r * r <= r' -> exp (- x) <= r -> exp (- y) <= r'.
Proof.
move=> -> rr er; have e0 := exp_pos (- x).
have -> : - (2 * x) = - x + - x by ring.
by rewrite exp_plus; apply: Rle_trans rr; apply: Rmult_le_compat; lra.
Qed.

(* The formulas of section 6 of statement.v; l bounds what Lift leaves in x. *)
Definition leak_at (ss : bool) (K n w N Rad X W b B c l t g : R) : R :=
  let nu := N * (t * t) in
  let nu0 := N * (t * t * t) in
  let Ef := B * l in
  let Efr := B * (if ss then w * X * nu else 0) in
  let Ef0 := B * (if ss then w * X * nu0 else 0) in
  let Ey := Rad * (n * t + 2 * nu) in
  let shut := g * g + N * (g * g * (g * g)) in
  let mu := 3 * g + 4 * (N * (g * g)) + K * shut in
  let F := B * X + c + Ef + Ef0 in
  let E := Ef + Efr + K * Ef0 + mu * F in
  let E0 := Ef0 + K * (Ef0 + shut * F) in
  let V := 2 * Rad + b + W * E + Ey in
  let V0 := W * E0 + Rad * nu0 in
  let out := W * E + mu * (V + V0) + K * V0 in
  let idle := Rad * nu + K * (V0 + shut * (V + V0)) in
  out + 2 * idle + (t + 2 * nu) * (Rad + Ey + out + idle).

Ltac nonneg := repeat first [assumption | apply: Rplus_le_le_0_compat | apply: Rmult_le_pos | lra].
Ltac mono := repeat first [assumption | apply: Rle_refl | apply: Rplus_le_compat
  | (apply: Rmult_le_compat; [nonneg | nonneg | |])].
Ltac both := split; [nonneg | mono].

Theorem leak_le (S : spec) (C : consts) (l t g : R) :
  (0 <= radius C /\ 0 <= input_radius C) /\
  (0 <= weight_norm C /\ 0 <= bias_norm C /\ 0 <= feature_norm C /\ 0 <= feature_bias_norm C) ->
  exp (- T S) <= t -> exp (- T_gate C) <= g ->
  (if sum_slot S then 2 * input_radius C * (3 * t + INR (tokens S) * (t * t)) <= l /\
     INR (n0 S - 1) * input_radius C * (INR (tokens S) * (t * t)) <= l else 0 <= l) ->
  leak S C <= leak_at (sum_slot S) (INR (K S)) (INR (n S)) (INR (n0 S - 1)) (INR (tokens S))
    (radius C) (input_radius C) (weight_norm C) (bias_norm C) (feature_norm C)
    (feature_bias_norm C) l t g.
Proof.
move=> [[R0 X0] [W0 [b0 [B0 c0]]]] et eg sl.
have K0 := pos_INR (K S); have n0' := pos_INR (n S); have w0 := pos_INR (n0 S - 1).
have N0 := pos_INR (tokens S).
have e0 : 0 <= exp (- T S) <= t by split; [exact/Rlt_le/exp_pos | ].
have f0 : 0 <= exp (- T_gate C) <= g by split; [exact/Rlt_le/exp_pos | ].
have tauE : tau S = exp (- T S) by [].
have nuE : nu S = INR (tokens S) * (exp (- T S) * exp (- T S)).
  by rewrite /nu /nu_at -exp_plus; congr (_ * exp _); ring.
have nubE : nu_bos S = INR (tokens S) * (exp (- T S) * exp (- T S) * exp (- T S)).
  by rewrite /nu_bos -!exp_plus; congr (_ * exp _); ring.
have taugE : tau_gate C = exp (- T_gate C) by [].
have nugE : nu_gate S C = INR (tokens S) * (exp (- T_gate C) * exp (- T_gate C)).
  by rewrite /nu_gate /nu_at -exp_plus; congr (_ * exp _); ring.
have shutE : shut_gate S C = exp (- T_gate C) * exp (- T_gate C) + INR (tokens S) *
    (exp (- T_gate C) * exp (- T_gate C) * (exp (- T_gate C) * exp (- T_gate C))).
  rewrite /shut_gate /tau_at /nu_at -!exp_plus; congr (exp _ + _ * exp _); ring.
move: (exp (- T S)) (exp (- T_gate C)) e0 f0 tauE nuE nubE taugE nugE shutE => e f [e0 et'] [f0 fg].
move=> tauE nuE nubE taugE nugE shutE; rewrite /leak_at.
set nu1 := INR (tokens S) * (t * t); set nu2 := INR (tokens S) * (t * t * t).
have t0 : 0 <= t by lra. have g0 : 0 <= g by lra.
have [nu_0 nu_1] : 0 <= nu S <= nu1 by rewrite nuE; both.
have [nb_0 nb_1] : 0 <= nu_bos S <= nu2 by rewrite nubE; both.
have [ta_0 ta_1] : 0 <= tau S <= t by rewrite tauE.
have [l_0 l_1] : 0 <= lifted S C <= l.
  rewrite /lifted; move: sl; case: (sum_slot S) => [[l1 l2] | l0]; last by lra.
  split; first by apply: Rle_trans (Rmax_l _ _); nonneg.
  by apply: Rmax_lub; [apply: Rle_trans l1 | apply: Rle_trans l2]; mono.
set lr := if sum_slot S then _ * nu1 else 0; set l0 := if sum_slot S then _ * nu2 else 0.
have [lr_0 lr_1] : 0 <= lifted_rest S C <= lr.
  by rewrite /lifted_rest /lr; case: (sum_slot S); [both | lra].
have [lb_0 lb_1] : 0 <= lifted_bos S C <= l0.
  by rewrite /lifted_bos /l0; case: (sum_slot S); [both | lra].
set Ef := feature_norm C * l; have [Ef_0 Ef_1] : 0 <= E_f S C <= Ef by both.
set Efr := feature_norm C * lr; have [Er_0 Er_1] : 0 <= E_f_rest S C <= Efr by both.
set Ef0 := feature_norm C * l0; have [Eb_0 Eb_1] : 0 <= E_f_bos S C <= Ef0 by both.
set Ey := radius C * _; have [Ey_0 Ey_1] : 0 <= E_y S C <= Ey by both.
set sh := g * g + _; have [sh_0 sh_1] : 0 <= shut_gate S C <= sh by rewrite shutE; both.
have [tg_0 tg_1] : 0 <= tau_gate C <= g by rewrite taugE.
have [ng_0 ng_1] : 0 <= nu_gate S C <= INR (tokens S) * (g * g) by rewrite nugE; both.
set mu := 3 * g + _ + _; have [mu_0 mu_1] : 0 <= misplaced S C <= mu by both.
set F := _ + feature_bias_norm C + _ + _.
have [F_0 F_1] : 0 <= longest_feature S C <= F by both.
set E := Ef + _ + _ + mu * F; have [E_0 E_1] : 0 <= fetched S C <= E by both.
set E0 := Ef0 + _ * (_ + sh * F); have [E0_0 E0_1] : 0 <= fetched_bos S C <= E0 by both.
set V := _ + bias_norm C + _ + Ey; have [V_0 V_1] : 0 <= longest_value S C <= V by both.
set V0 := weight_norm C * E0 + _; have [V0_0 V0_1] : 0 <= value_bos S C <= V0 by both.
set out := weight_norm C * E + _ + _; have [o_0 o_1] : 0 <= executed S C <= out by both.
set idle := radius C * nu1 + _; have [i_0 i_1] : 0 <= idle_y S C <= idle by both.
by rewrite /leak; mono.
Qed.
