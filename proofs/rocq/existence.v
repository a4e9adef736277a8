(* Every family of tasks has its transformer, and the error vanishes.

   In words: take any shape (d, features, K, m, n, with or without a sum slot), any tasks whose
   slots hold inputs, bounds R and X, and rho < delta. There are a constant c and a coldness from
   which on, for every T, admissible gains exist, and the leak is at most c exp(-T). So for any
   eps > 0 there is a transformer of that shape that answers every prompt within the hypotheses up
   to eps: the theorem without the word gain. The gains are the formulas of
   construct/theorem1/gains.py without their rounding.

   Proof: every error of section 6 of statement.v is a sum of products of constants and of tau and
   nu, and nu <= N tau for T >= 0. *)
From Theorem1 Require Import sums signs stream codes longest_sum theorem1.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* ---- Every matrix has a bound. ---- *)
Lemma norm_le_sum (I : finType) (v : vec I) : norm v <= \sum_i Rabs (v i).
Proof.
pose e (k : I) : vec I := fun i => if i == k then 1 else 0.
have e1 k : norm (e k) = 1.
  rewrite /norm (_ : dot _ _ = 1) ?sqrt_1 //.
  by rewrite /dot (sum_pick (j := k)) /e ?eqxx; [lra | move=> i /negbTE ->; lra].
have {1}-> : v = fun i => \sum_k v k * e k i.
  apply: functional_extensionality => i; rewrite (sum_pick (j := i)) /e ?eqxx; first lra.
  by move=> k; rewrite eq_sym => /negbTE ->; lra.
apply: Rle_trans (norm_sum _ _ _ _) _; apply: sum_le => k _; rewrite e1; lra.
Qed.
Lemma matrix_bounded (I J : finType) (A : mat I J) (v : vec J) :
  norm (apply A v) <= (\sum_i norm (A i)) * norm v.
Proof.
apply: Rle_trans (norm_le_sum _) _; rewrite -sum_scaler; apply: sum_le => i _.
exact: cauchy_schwarz.
Qed.
Lemma le_sum (I : finType) (F : I -> R) i : (forall k, 0 <= F k) -> F i <= \sum_k F k.
Proof.
move=> F0; rewrite (bigD1 i) //=.
by have := @sum_ge0 _ (index_enum I) (fun k => k != i) F (fun k _ => F0 k); lra.
Qed.

(* ---- Errors that vanish like exp(-T), and factors that stay bounded. ---- *)
Definition small (f : R -> R) : Prop :=
  exists2 c, 0 <= c & forall T, 0 <= T -> 0 <= f T <= c * exp (- T).
Definition bounded (f : R -> R) : Prop := exists c, forall T, 0 <= T -> 0 <= f T <= c.

Lemma exp_le1 T : 0 <= T -> exp (- T) <= 1.
Proof.
by move=> T0; rewrite -exp_0; apply: exp_le; lra.
Qed.

Lemma small_tau : small (fun T => exp (- T)).
Proof. by exists 1; [lra | move=> T T0; have := exp_pos (- T); lra]. Qed.
Lemma small_0 : small (fun=> 0).
Proof. by exists 0; [lra | move=> T T0; lra]. Qed.
Lemma small_add f g : small f -> small g -> small (fun T => f T + g T).
Proof.
move=> [a a0 fa] [b b0 gb]; exists (a + b); first lra.
by move=> T T0; have := fa T T0; have := gb T T0; lra.
Qed.
Lemma small_mul f g : bounded f -> small g -> small (fun T => f T * g T).
Proof.
move=> [a fa] [b b0 gb]; have a0 : 0 <= a by have := fa 0 (Rle_refl 0); lra.
exists (a * b); first exact: Rmult_le_pos.
move=> T T0; have [f0 f1] := fa T T0; have [g0 g1] := gb T T0.
by split; [exact: Rmult_le_pos | rewrite Rmult_assoc; exact: Rmult_le_compat].
Qed.
Lemma small_le f g : small g -> (forall T, 0 <= T -> 0 <= f T <= g T) -> small f.
Proof.
move=> [b b0 gb] fg; exists b => // T T0; have := fg T T0; have := gb T T0; lra.
Qed.
Lemma small_bounded f : small f -> bounded f.
Proof.
move=> [c c0 fc]; exists c => T T0; have [f0 f1] := fc T T0; split=> //.
apply: Rle_trans f1 _; rewrite -[X in _ <= X]Rmult_1_r.
by apply: Rmult_le_compat_l => //; exact: exp_le1.
Qed.
Lemma small_mulr f g : small f -> bounded g -> small (fun T => f T * g T).
Proof.
move=> sf bg; apply: small_le (small_mul bg sf) _ => T T0; rewrite Rmult_comm.
split; last exact: Rle_refl; have [a _ fa] := sf; have [b gb] := bg.
by apply: Rmult_le_pos; [have := gb T T0 | have := fa T T0]; lra.
Qed.
Lemma bounded_const a : 0 <= a -> bounded (fun=> a).
Proof. by move=> a0; exists a => T T0; lra. Qed.
Lemma bounded_add f g : bounded f -> bounded g -> bounded (fun T => f T + g T).
Proof. by move=> [a fa] [b gb]; exists (a + b) => T T0; have := fa T T0; have := gb T T0; lra. Qed.
Lemma bounded_mul f g : bounded f -> bounded g -> bounded (fun T => f T * g T).
Proof.
move=> [a fa] [b gb]; exists (a * b) => T T0; have [f0 f1] := fa T T0; have [g0 g1] := gb T T0.
by split; [exact: Rmult_le_pos | exact: Rmult_le_compat].
Qed.

(* A condition that holds for all T from some point on. *)
Definition finally (P : R -> Prop) : Prop := exists2 T1, 0 <= T1 & forall T, T1 <= T -> P T.
Lemma finally_and P Q : finally P -> finally Q -> finally (fun T => P T /\ Q T).
Proof.
move=> [a a0 Pa] [b b0 Qb]; exists (a + b); first lra.
by move=> T ab; split; [apply: Pa | apply: Qb]; lra.
Qed.
Lemma small_finally f eps : small f -> 0 < eps -> finally (fun T => f T <= eps).
Proof.
move=> [c c0 fc] e0; have i0 : 0 < / eps by apply: Rinv_0_lt_compat.
have c1 : 0 <= c / eps by apply: Rmult_le_pos; lra.
exists (c / eps) => // T Tc; have T0 : 0 <= T by lra.
have [_ f1] := fc T T0; apply: Rle_trans f1 _.
have grow : 1 + T <= exp T.
  by case: T0 => [p | <-]; [apply/Rlt_le/exp_ineq1; lra | rewrite exp_0; lra].
have ce : c <= eps * (1 + T).
  have -> : c = eps * (c / eps) by field; lra.
  by apply: Rmult_le_compat_l; lra.
have x0 := exp_pos (- T); have xx : exp T * exp (- T) = 1.
  by rewrite -exp_plus Rplus_opp_r exp_0.
apply: Rle_trans (_ : eps * (1 + T) * exp (- T) <= _); first by apply: Rmult_le_compat_r; lra.
rewrite Rmult_assoc -{2}[eps]Rmult_1_r -xx; apply: Rmult_le_compat_l; first lra.
by apply: Rmult_le_compat_r; lra.
Qed.

(* ---- The circle's gap is positive. ---- *)
Lemma arc_gap_gt0 (K : nat) : (0 < K)%N -> 0 < arc_gap K.
Proof.
rewrite leq_eqVlt eq_sym /arc_gap; case: eqP => [_ _|_ /= K2]; first lra.
have k2 : 2 <= INR K by move/leP/le_INR: K2 => /=; lra.
have p0 := PI_RGT_0; have t0 : 0 < 2 * PI / INR K by apply: Rdiv_lt_0_compat; lra.
have t1 : 2 * PI / INR K <= PI.
  by apply: (Rmult_le_reg_r (INR K)); first lra; rewrite /Rdiv Rmult_assoc Rinv_l; nra.
by have := cos_decreasing_1 0 (2 * PI / INR K); rewrite cos_0; lra.
Qed.

(* ---- The errors of one shape, as functions of T. ---- *)
Section Shape.
Variables (d : nat) (ph : features d) (K m n0 : nat) (ss : bool).
Variable tasks : 'I_K -> task d (fdim ph) n0.
Definition with_gains (T beta T0 P2 rr G th ab el : R) : spec :=
  @Spec d ph K m n0 ss tasks (@circle K) (@circle K) T beta T0 P2 rr G th ab el.

Variables rad X rho delta wn bn fn fb : R.
Definition with_coldness (T : R) : consts := Consts rad X rho delta wn bn fn fb 0 T T.
Hypotheses (K0 : (0 < K)%N) (m0 : (0 < m)%N) (n1 : ((if ss then 1 else 0) < n0)%N).
Hypothesis slots_inputs : forall i, slot (tasks i) != ord_max.
Hypotheses (rad0 : 0 <= rad) (X0 : 0 <= X) (rho0 : 0 <= rho) (rho_delta : rho < delta).
Hypotheses (wn0 : 0 <= wn) (bn0 : 0 <= bn) (fn0 : 0 <= fn) (fb0 : 0 <= fb).
Hypothesis weights : forall i v, norm (apply (weight (tasks i)) v) <= wn * norm v.
Hypothesis biases : forall i, norm (bias (tasks i)) <= bn.
Hypothesis features_ok : match ph with
  | Identity => 1 <= fn
  | Relu r B c => (forall v, norm (apply B v) <= fn * norm v) /\ norm c <= fb
  end.

(* No error depends on the gains: any will do to name them. *)
Let S T := with_gains T 0 0 0 0 0 0 0 0.
Let C T := with_coldness T.

Lemma small_nu : small (fun T => nu (S T)).
Proof.
apply: small_mul; first exact: (bounded_const (pos_INR (1 + (m.+1 * n0.+1))%N)).
apply: small_le small_tau _ => T T0; split; first exact/Rlt_le/exp_pos.
have -> : - (2 * T) = - T + - T by lra.
rewrite exp_plus -[X in _ <= X]Rmult_1_r; apply: Rmult_le_compat_l; [exact/Rlt_le/exp_pos |].
exact: exp_le1.
Qed.

Lemma small_nu_bos : small (fun T => nu_bos (S T)).
Proof.
apply: small_le small_nu _ => T T0; split; first exact: nu_bos_ge0.
by apply: Rmult_le_compat_l; [exact: pos_INR | apply: exp_le; rewrite /=; lra].
Qed.

Ltac constant := first
  [ exact: (bounded_const rad0) | exact: (bounded_const X0) | exact: (bounded_const wn0)
  | exact: (bounded_const bn0) | exact: (bounded_const fn0) | exact: (bounded_const fb0)
  | exact: (bounded_const (pos_INR K)) | exact: (bounded_const (pos_INR n0.+1))
  | exact: (bounded_const (pos_INR (n0 - 1))) | by apply: bounded_const; lra ].
Ltac errors := repeat first
  [ constant | exact: small_tau | exact: small_nu | exact: small_nu_bos | exact: small_0
  | apply: small_add | apply: small_mul | apply: bounded_add | apply: bounded_mul ].

Lemma small_lifted : small (fun T => lifted (S T) (C T)).
Proof.
rewrite /lifted /=; case: ss; last exact: small_0.
apply: (@small_le _ (fun T => 2 * X * (3 * exp (- T) + nu (S T)) + INR (n0 - 1) * X * nu (S T))).
  by errors.
move=> T T0; have t0 := exp_pos (- T); have v0 := nu_ge0 (S T).
have a : 0 <= 2 * X * (3 * exp (- T) + nu (S T)) by apply: Rmult_le_pos; lra.
have b : 0 <= INR (n0 - 1) * X * nu (S T).
  by apply: Rmult_le_pos => //; apply: Rmult_le_pos => //; exact: pos_INR.
split; first exact: Rle_trans a (Rmax_l _ _).
by apply: Rmax_lub; rewrite /tau /tau_at /=; lra.
Qed.
Lemma small_lifted_bos : small (fun T => lifted_bos (S T) (C T)).
Proof. by rewrite /lifted_bos /=; case: ss; errors. Qed.
Lemma small_lifted_rest : small (fun T => lifted_rest (S T) (C T)).
Proof. by rewrite /lifted_rest /=; case: ss; errors; lra. Qed.
Lemma small_E_f : small (fun T => E_f (S T) (C T)).
Proof. by apply: small_mul; [constant | exact: small_lifted]. Qed.
Lemma small_E_f_bos : small (fun T => E_f_bos (S T) (C T)).
Proof. by apply: small_mul; [constant | exact: small_lifted_bos]. Qed.
Lemma small_E_f_rest : small (fun T => E_f_rest (S T) (C T)).
Proof. by apply: small_mul; [constant | exact: small_lifted_rest]. Qed.
Lemma small_E_y : small (fun T => E_y (S T) (C T)).
Proof. by errors. Qed.
Lemma small_kappa : small (fun T => kappa (S T) (C T)).
Proof. by apply: small_add small_E_y; apply: small_mul small_E_f; constant. Qed.
Lemma small_kappa_bos : small (fun T => kappa_bos (S T) (C T)).
Proof.
by apply: small_add; apply: small_mul; (try constant); [exact: small_E_f_bos | exact: small_nu_bos].
Qed.
Lemma small_stray : small (fun T => stray (S T) (C T)).
Proof. by errors. Qed.
Lemma small_zeta : small (fun T => zeta (S T) (C T)).
Proof.
have L0 : 0 <= (longest_of K + INR K * 0) * (1 + 0) by have := longest_ge0 K0; lra.
have st := small_stray.
apply: (@small_le _ (fun T => 1 * (2 * exp (- T) + stray (S T) (C T))
  + (longest_of K + INR K * 0) * (1 + 0) * stray (S T) (C T))).
  apply: small_add; apply: small_mul => //; try (by apply: bounded_const; lra).
  by apply: small_add => //; errors.
move=> T T0; rewrite /zeta /code_error /tau /tau_at.
rewrite -[longest _ _]/((longest_of K + INR K * 0) * (1 + 0)) /=.
have s0 := stray_ge0 (S T) (C T); have t0 := exp_pos (- T).
by have := Rmult_le_pos _ _ s0 L0; split; lra.
Qed.
Lemma small_shut : small (fun T => shut_gate (S T) (C T)).
Proof.
have twice T : 0 <= T -> exp (- (2 * T)) <= exp (- T) by move=> T0; apply: exp_le; lra.
apply: (@small_le _ (fun T => exp (- T) + nu (S T))); first by errors.
move=> T T0; have T2 : 0 <= 2 * T by lra.
have [t0 v0] := (tau_at_ge0 (2 * T), nu_at_ge0 (S T) (2 * T)).
rewrite /shut_gate /=; split; first lra.
apply: Rplus_le_compat; first exact: twice.
by apply: Rmult_le_compat_l; [exact: pos_INR | exact: twice].
Qed.
Lemma small_misplaced : small (fun T => misplaced (S T) (C T)).
Proof.
apply: small_add; first by errors.
by apply: small_mul small_shut; constant.
Qed.
Lemma bounded_feature : bounded (fun T => longest_feature (S T) (C T)).
Proof.
have [a b] := (small_bounded small_E_f, small_bounded small_E_f_bos).
by apply: bounded_add b; apply: bounded_add a; errors.
Qed.
Lemma small_fetched : small (fun T => fetched (S T) (C T)).
Proof.
apply: small_add (small_mulr small_misplaced bounded_feature).
apply: small_add; first exact: small_add small_E_f small_E_f_rest.
by apply: small_mul small_E_f_bos; constant.
Qed.
Lemma small_fetched_bos : small (fun T => fetched_bos (S T) (C T)).
Proof.
apply: (small_add small_E_f_bos); apply: small_mul; first constant.
exact: small_add small_E_f_bos (small_mulr small_shut bounded_feature).
Qed.
Lemma small_value_bos : small (fun T => value_bos (S T) (C T)).
Proof.
apply: small_add; first by apply: small_mul small_fetched_bos; constant.
by apply: small_mul small_nu_bos; constant.
Qed.
Lemma bounded_value : bounded (fun T => longest_value (S T) (C T) + value_bos (S T) (C T)).
Proof.
apply: bounded_add (small_bounded small_value_bos); apply: bounded_add (small_bounded small_E_y).
apply: bounded_add; first by errors.
by apply: bounded_mul (small_bounded small_fetched); constant.
Qed.
Lemma small_executed : small (fun T => executed (S T) (C T)).
Proof.
apply: small_add; first apply: small_add (small_mulr small_misplaced bounded_value).
  by apply: small_mul small_fetched; constant.
by apply: small_mul small_value_bos; constant.
Qed.
Lemma small_idle : small (fun T => idle_y (S T) (C T)).
Proof.
apply: small_add; first by apply: small_mul small_nu; constant.
apply: small_mul; first constant.
exact: small_add small_value_bos (small_mulr small_shut bounded_value).
Qed.

Theorem small_leak : small (fun T => leak (S T) (C T)).
Proof.
pose V T := rad + E_y (S T) (C T) + executed (S T) (C T) + idle_y (S T) (C T).
have bV : bounded V.
  have [a b] := (small_bounded small_E_y, small_bounded small_executed).
  apply: bounded_add (small_bounded small_idle); apply: bounded_add b; apply: bounded_add a.
  constant.
apply: small_add.
  by apply: (small_add small_executed); apply: small_mul small_idle; constant.
have st : small (fun T => tau (S T) + 2 * nu (S T)) by errors.
exact: small_mulr st bV.
Qed.

(* ---- The gains. ---- *)
(* From some coldness on all margins are met. *)
Lemma margins_met : finally (fun T =>
  [/\ kappa (S T) (C T) <= (delta - rho) / 8,
      2 * ((2 * rad + kappa (S T) (C T)) * kappa_bos (S T) (C T)) <= delta * (delta - rho) / 4,
      INR K * stray (S T) (C T) <= 1 / 4,
      INR (minn K 2) * (2 * tau (S T) + stray (S T) (C T)) <= 1 / 4
    & zeta (S T) (C T) <= arc_gap K / 4]).
Proof.
have e1 : 0 < (delta - rho) / 8 by lra.
have e2 : 0 < delta * (delta - rho) / 4 by nra.
have e4 : 0 < arc_gap K / 4 by have := arc_gap_gt0 K0; lra.
have q : 0 < 1 / 4 by lra.
have s2 : small (fun T => 2 * ((2 * rad + kappa (S T) (C T)) * kappa_bos (S T) (C T))).
  apply: small_mul; first constant.
  apply: small_mul small_kappa_bos; apply: bounded_add (small_bounded small_kappa).
  constant.
have s3 : small (fun T => INR K * stray (S T) (C T)).
  by apply: small_mul small_stray; constant.
have s4 : small (fun T => INR (minn K 2) * (2 * tau (S T) + stray (S T) (C T))).
  apply: small_mul; first exact: (bounded_const (pos_INR (minn K 2))).
  by apply: small_add small_stray; errors.
have [T1 p f] := finally_and (finally_and (finally_and (finally_and
  (small_finally small_kappa e1) (small_finally s2 e2)) (small_finally s3 q)) (small_finally s4 q))
  (small_finally small_zeta e4).
by exists T1 => // T /f [[[[a b] c] e] z]; split.
Qed.

Definition room_left T := (delta - kappa (S T) (C T)) * (delta - kappa (S T) (C T))
  - (rho + kappa (S T) (C T)) * (rho + kappa (S T) (C T))
  - 2 * ((2 * rad + kappa (S T) (C T)) * kappa_bos (S T) (C T)).
Definition the_beta T := 2 * T / room_left T.
Definition the_slack T := the_beta T * ((2 * rad + kappa (S T) (C T)) * kappa_bos (S T) (C T)).
Definition the_T0 T :=
  the_beta T * ((rho + kappa (S T) (C T)) * (rho + kappa (S T) (C T))) + T + the_slack T.
Definition the_raise T := the_T0 T + 2 * T + the_slack T.
Definition the_P2 T :=
  (the_beta T * ((2 * rad + kappa (S T) (C T)) * (2 * rad + kappa (S T) (C T))) + the_raise T) / 2.
Definition the_G T := 2 * T / (arc_gap K - 2 * zeta (S T) (C T)).
Definition the_threshold T := T + the_G T * zeta (S T) (C T).
Definition the_abstain T :=
  the_threshold T + 2 * T + the_G T * (longest (S T) (C T) * (1 + stray (S T) (C T))).
Definition the_elsewhere T := the_threshold T + 2 * T + the_G T * zeta (S T) (C T).
Definition the_spec T := with_gains T (the_beta T) (the_T0 T) (the_P2 T) (the_raise T)
  (the_G T) (the_threshold T) (the_abstain T) (the_elsewhere T).

Theorem finally_admissible : finally (fun T => admissible (the_spec T) (C T)).
Proof.
have [T1 T10 met] := margins_met; exists T1 => // T TT; have T0 : 0 <= T by lra.
have [k1 k2 p1 p2 z1] := met T TT; have g0 := arc_gap_gt0 K0.
have ck : forall i, norm (vsub (circle i) (circle i)) <= 0 := @circle_tolerance K.
have kap0 : 0 <= kappa (S T) (C T) by have [c _ f] := small_kappa; have := f T T0; lra.
have kb0 : 0 <= kappa_bos (S T) (C T) by have [c _ f] := small_kappa_bos; have := f T T0; lra.
have z0 : 0 <= zeta (S T) (C T) by have [c _ f] := small_zeta; have := f T T0; lra.
have st0 := stray_ge0 (S T) (C T).
have L0 : 0 <= longest (S T) (C T).
  rewrite -[longest _ _]/((longest_of K + INR K * 0) * (1 + 0)); have := longest_ge0 K0; lra.
have D0 : 0 < room_left T.
  rewrite /room_left; set k := kappa _ _ in k1 k2 kap0 *; set x := 2 * _ in k2 *.
  have -> : (delta - k) * (delta - k) - (rho + k) * (rho + k) - x =
            (delta + rho) * (delta - rho - 2 * k) - x by ring.
  have : delta * (3 / 4 * (delta - rho)) <= (delta + rho) * (delta - rho - 2 * k).
    by apply: Rmult_le_compat; lra || nra.
  by nra.
have b0 : 0 <= the_beta T by apply: Rmult_le_pos; [lra | exact/Rlt_le/Rinv_0_lt_compat].
have bD : the_beta T * room_left T = 2 * T by rewrite /the_beta; field; lra.
have z2 : 0 < arc_gap K - 2 * zeta (S T) (C T) by lra.
have G0 : 0 <= the_G T by apply: Rmult_le_pos; [lra | exact/Rlt_le/Rinv_0_lt_compat].
have GD : the_G T * (arc_gap K - 2 * zeta (S T) (C T)) = 2 * T by rewrite /the_G; field; lra.
have Gz := Rmult_le_pos _ _ G0 z0.
have GL : 0 <= the_G T * (longest (S T) (C T) * (1 + stray (S T) (C T))).
  by apply: Rmult_le_pos => //; apply: Rmult_le_pos => //; lra.
split=> //.
- by do ![split=> //]; rewrite /= ?/the_abstain ?/the_elsewhere ?/the_threshold; lra.
- by rewrite /=; split; lra.
- rewrite -[kappa _ _]/(kappa (S T) (C T)) /=; lra.
- rewrite -[kappa _ _]/(kappa (S T) (C T)) -[slack _ _]/(the_slack T) /= /the_T0; lra.
- rewrite -[kappa _ _]/(kappa (S T) (C T)) -[slack _ _]/(the_slack T) /=.
  move: bD; rewrite /room_left /the_T0 /the_slack; lra.
- rewrite -[kappa _ _]/(kappa (S T) (C T)) -[slack _ _]/(the_slack T) /=.
  rewrite /the_P2 /the_raise; lra.
- rewrite -[slack _ _]/(the_slack T) /= /the_raise; lra.
- by rewrite /=; split; lra.
- rewrite -[zeta _ _]/(zeta (S T) (C T)) /= /the_threshold; lra.
- rewrite -[zeta _ _]/(zeta (S T) (C T)) -[gap _]/(arc_gap K) /= /the_threshold; lra.
- rewrite -[longest _ _]/(longest (S T) (C T)) -[stray _ _]/(stray (S T) (C T)) /=.
  by rewrite /the_abstain; lra.
- rewrite -[zeta _ _]/(zeta (S T) (C T)) /= /the_elsewhere; lra.
Qed.

(* From some coldness on the transformer exists, and its leak vanishes like exp(-T). *)
Theorem leak_vanishes : exists c T1, 0 <= T1 /\ forall T, T1 <= T ->
  admissible (the_spec T) (C T) /\ leak (the_spec T) (C T) <= c * exp (- T).
Proof.
have [T1 T10 adm] := finally_admissible; have [c _ lk] := small_leak.
exists c, T1; split=> // T TT; split; first exact: adm.
by have [] := lk T (Rle_trans _ _ _ T10 TT).
Qed.

Theorem some_transformer eps : 0 < eps -> exists T beta T0 P2 rr G th ab el,
  let S' := with_gains T beta T0 P2 rr G th ab el in
  admissible S' (C T) /\ leak S' (C T) <= eps.
Proof.
move=> e0; have [T T10 both] := finally_and finally_admissible (small_finally small_leak e0).
exists T, (the_beta T), (the_T0 T), (the_P2 T), (the_raise T), (the_G T), (the_threshold T),
  (the_abstain T), (the_elsewhere T).
exact: both (Rle_refl _).
Qed.
End Shape.

(* ---- The theorem without gains. ---- *)
(* What is asked of a prompt: (H1) to (H3), with the bounds R and X, the tolerance rho and the
   margin delta. *)
Definition prompt_within (S : spec) (rad X rho delta : R) : prompt S -> Prop :=
  within (Consts rad X rho delta 0 0 0 0 0 0 0).
Arguments prompt_within : clear implicits.

Theorem every_task (d : nat) (ph : features d) (K m n0 : nat) (ss : bool)
    (tasks : 'I_K -> task d (fdim ph) n0) (rad X rho delta : R) :
  (0 < K)%N -> (0 < m)%N -> ((if ss then 1 else 0) < n0)%N ->
  (forall i, slot (tasks i) != ord_max) ->
  0 <= rad -> 0 <= X -> 0 <= rho -> rho < delta ->
  forall eps, 0 < eps -> exists T beta T0 P2 raise G threshold abstain elsewhere,
  let S := with_gains m ss tasks T beta T0 P2 raise G threshold abstain elsewhere in
  [/\ size (seven S) = 7%N, #|coord_finType S| = embedding_dim S
    & forall P, prompt_within S rad X rho delta P ->
      forall a, Rabs (run (seven S) (embed P) (answer P) (Y a) - superposition P rho a) <= eps].
Proof.
move=> K0 m0 n1 slots_inputs rad0 X0 rho0 rd eps e0.
have nonneg (I J : finType) (A : mat I J) : 0 <= \sum_i norm (A i).
  by apply: sum_ge0 => i _; exact: norm_ge0.
pose w i := \sum_j norm (weight (tasks i) j).
pose wn := \sum_i w i; pose bn := \sum_i norm (bias (tasks i)).
have wn0 : 0 <= wn by apply: sum_ge0 => i _; exact: nonneg.
have bn0 : 0 <= bn by apply: sum_ge0 => i _; exact: norm_ge0.
have weights i v : norm (apply (weight (tasks i)) v) <= wn * norm v.
  apply: Rle_trans (matrix_bounded _ _) _; apply: Rmult_le_compat_r; first exact: norm_ge0.
  by apply: (le_sum (F := w)) => k; exact: nonneg.
have biases i : norm (bias (tasks i)) <= bn.
  by apply: (le_sum (F := fun i => norm (bias (tasks i)))) => k; exact: norm_ge0.
have [fn [fb [fn0 fb0 features_ok]]] : exists fn fb, [/\ 0 <= fn, 0 <= fb & match ph with
    | Identity => 1 <= fn
    | Relu r B c => (forall v, norm (apply B v) <= fn * norm v) /\ norm c <= fb
    end].
  case: ph {tasks slots_inputs w wn bn wn0 bn0 weights biases} => [| r B c].
    by exists 1, 0; split; lra.
  exists (\sum_i norm (B i)), (norm c); split; [exact: nonneg | exact: norm_ge0 |].
  by split; [exact: matrix_bounded | exact: Rle_refl].
have [T [beta [T0 [P2 [raise [G [th [ab [el [adm lk]]]]]]]]]] :=
  some_transformer K0 m0 n1 slots_inputs rad0 X0 rho0 rd wn0 bn0 fn0 fb0 weights biases
    features_ok e0.
exists T, beta, T0, P2, raise, G, th, ab, el => S.
have all P (wi : within (with_coldness rad X rho delta wn bn fn fb T) P) := theorem1 adm wi.
split=> [//| | P wi a]; first exact: width_formula.
have wi' : within (with_coldness rad X rho delta wn bn fn fb T) P by case: wi; split.
by have [_ [_ out]] := all P wi'; exact: Rle_trans (out a) lk.
Qed.
