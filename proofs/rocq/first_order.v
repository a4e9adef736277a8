(* What the leak is made of, to first order.

   In words: for a shape, tasks and constants there is a number c such that, for every T >= 0,
     leak <= (6 |W| |B| X [with a sum slot] + 3 |W| F + 3 (2R + |b|) + R) exp(-T) + c exp(-2T),
   where F = |B| X + |c| is the longest feature. The first coefficient contains neither the number
   of examples nor the length of one nor the number of tasks: no bound multiplies from layer to
   layer. *)
From Theorem1 Require Import sums signs codes longest_sum existence.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* At most a exp(-T), up to second order; at most b, up to first order. *)
Definition upto (a : R) (f : R -> R) : Prop := exists2 c, 0 <= c &
  forall T, 0 <= T -> 0 <= f T <= a * exp (- T) + c * (exp (- T) * exp (- T)).
Definition near (b : R) (g : R -> R) : Prop := exists2 c, 0 <= c &
  forall T, 0 <= T -> 0 <= g T <= b + c * exp (- T).

Lemma upto_le a f g : upto a g -> (forall T, 0 <= T -> 0 <= f T <= g T) -> upto a f.
Proof. by move=> [c c0 gc] fg; exists c => // T T0; have := fg T T0; have := gc T T0; lra. Qed.
Lemma upto_eq a b f : upto a f -> a = b -> upto b f.
Proof. by move=> ? <-. Qed.
Lemma upto_0 : upto 0 (fun=> 0).
Proof. by exists 0; [lra | move=> T T0; lra]. Qed.
Lemma upto_tau : upto 1 (fun T => exp (- T)).
Proof. by exists 0; [lra | move=> T T0; have := exp_pos (- T); lra]. Qed.
Lemma upto_square k : 0 <= k -> upto 0 (fun T => k * exp (- (2 * T))).
Proof.
move=> k0; exists k => // T T0; have x0 := exp_pos (- (2 * T)).
rewrite -exp_plus (_ : - T + - T = - (2 * T)); last by lra.
by have := Rmult_le_pos _ _ k0 (Rlt_le _ _ x0); lra.
Qed.
Lemma upto_add a b f g : upto a f -> upto b g -> upto (a + b) (fun T => f T + g T).
Proof.
move=> [c c0 fc] [e e0 ge]; exists (c + e); first lra.
by move=> T T0; have := fc T T0; have := ge T T0; lra.
Qed.
Lemma upto_mul a b f g : 0 <= a -> upto a f -> near b g -> upto (a * b) (fun T => f T * g T).
Proof.
move=> a0 [c c0 fc] [e e0 ge]; have b0 : 0 <= b + e.
  by have [g0 g1] := ge 0 (Rle_refl _); move: g1; rewrite Ropp_0 exp_0; lra.
exists (a * e + c * (b + e)).
  by apply: Rplus_le_le_0_compat; apply: Rmult_le_pos.
move=> T T0; have [f0 f1] := fc T T0; have [g0 g1] := ge T T0.
have x0 := exp_pos (- T); have x1 := exp_le1 T0; move: (exp (- T)) x0 x1 f1 g1 => x x0 x1 f1 g1.
split; first exact: Rmult_le_pos.
apply: Rle_trans (_ : (a * x + c * (x * x)) * (b + e * x) <= _); first exact: Rmult_le_compat.
have ex : e * x <= e by rewrite -[X in _ <= X]Rmult_1_r; apply: Rmult_le_compat_l.
have cxx : 0 <= c * (x * x) by apply: Rmult_le_pos => //; apply: Rmult_le_pos; lra.
have := Rmult_le_compat_l _ _ _ cxx ex; lra.
Qed.
Lemma near_const b : 0 <= b -> near b (fun=> b).
Proof. by move=> b0; exists 0; [lra | move=> T T0; lra]. Qed.
Lemma near_add a b f g : near a f -> near b g -> near (a + b) (fun T => f T + g T).
Proof.
move=> [c c0 fc] [e e0 ge]; exists (c + e); first lra.
by move=> T T0; have := fc T T0; have := ge T T0; lra.
Qed.
Lemma near_upto a f : 0 <= a -> upto a f -> near 0 f.
Proof.
move=> a0 [c c0 fc]; exists (a + c); first lra.
move=> T T0; have [f0 f1] := fc T T0; have x0 := exp_pos (- T); have x1 := exp_le1 T0.
have : c * (exp (- T) * exp (- T)) <= c * exp (- T); last by lra.
by apply: Rmult_le_compat_l => //; rewrite -[X in _ <= X]Rmult_1_r; apply: Rmult_le_compat_l; lra.
Qed.
Lemma near_eq a b f : near a f -> a = b -> near b f.
Proof. by move=> ? <-. Qed.

Section Shape.
Variables (d : nat) (ph : features d) (K m n0 : nat) (ss : bool).
Variable tasks : 'I_K -> task d (fdim ph) n0.
Variables rad X rho delta wn bn fn fb : R.
Hypotheses (rad0 : 0 <= rad) (X0 : 0 <= X) (wn0 : 0 <= wn) (bn0 : 0 <= bn).
Hypotheses (fn0 : 0 <= fn) (fb0 : 0 <= fb).
Let S T := with_gains m ss tasks T 0 0 0 0 0 0 0 0.
Let C T := with_coldness rad X rho delta wn bn fn fb T.
Notation F := (fn * X + fb).

(* A constant times something. *)
Let times k a f : 0 <= k -> upto a f -> 0 <= a -> upto (k * a) (fun T => k * f T).
Proof.
move=> k0 uf a0; apply: (@upto_eq (a * k)); last by rewrite Rmult_comm.
apply: upto_le (upto_mul a0 uf (near_const k0)) _ => T T0; rewrite Rmult_comm.
split; last exact: Rle_refl; have [c _ fc] := uf.
by apply: Rmult_le_pos => //; have := fc T T0; lra.
Qed.

Lemma upto_nu : upto 0 (fun T => nu (S T)).
Proof. exact: upto_square (pos_INR (1 + (m.+1 * n0.+1))%N). Qed.
Lemma upto_nu_bos : upto 0 (fun T => nu_bos (S T)).
Proof.
apply: upto_le upto_nu _ => T T0; split; first exact: nu_bos_ge0.
by apply: Rmult_le_compat_l; [exact: pos_INR | apply: exp_le; rewrite /=; lra].
Qed.
Lemma upto_shut : upto 0 (fun T => shut_gate (S T) (C T)).
Proof.
apply: (@upto_le _ _ (fun T => 1 * exp (- (2 * T)) + nu (S T))).
  by apply: (@upto_eq (0 + 0)); [apply: upto_add upto_nu; apply: upto_square; lra | lra].
move=> T T0; have [t0 v0] := (tau_at_ge0 (2 * T), nu_at_ge0 (S T) (2 * T)).
rewrite /shut_gate /=; split; first lra.
apply: Rplus_le_compat; first by rewrite /tau_at; lra.
by apply: Rmult_le_compat_l; [exact: pos_INR | apply: exp_le; rewrite /=; lra].
Qed.
Lemma upto_misplaced : upto 3 (fun T => misplaced (S T) (C T)).
Proof.
apply: (@upto_eq (3 * 1 + 4 * 0 + INR K * 0)); last by lra.
apply: upto_add; first apply: upto_add.
- by apply: (times _ upto_tau); lra.
- by apply: (times _ upto_nu); lra.
- by apply: (times _ upto_shut); [exact: pos_INR | lra].
Qed.

(* Lift: the sum slot alone. *)
Definition lift_share : R := if ss then 6 * X else 0.
Let share0 : 0 <= lift_share. Proof. by rewrite /lift_share; case: ss; lra. Qed.
Let w0 : 0 <= INR (n0 - 1) * X. Proof. by apply: Rmult_le_pos => //; exact: pos_INR. Qed.
Lemma upto_lifted : upto lift_share (fun T => lifted (S T) (C T)).
Proof.
rewrite /lifted /lift_share /=; case: ss; last exact: upto_0.
apply: (@upto_le _ _ (fun T => 2 * X * (3 * exp (- T) + nu (S T)) + INR (n0 - 1) * X * nu (S T))).
  apply: (@upto_eq (2 * X * (3 * 1 + 0) + INR (n0 - 1) * X * 0)); last by ring.
  apply: upto_add; apply: times; (try by []); (try by lra); [ | exact: upto_nu].
  by apply: upto_add upto_nu; apply: (times _ upto_tau); lra.
move=> T T0; have t0 := exp_pos (- T); have v0 := nu_ge0 (S T).
have a : 0 <= 2 * X * (3 * exp (- T) + nu (S T)) by apply: Rmult_le_pos; lra.
have b : 0 <= INR (n0 - 1) * X * nu (S T) by apply: Rmult_le_pos.
split; first exact: Rle_trans a (Rmax_l _ _).
by apply: Rmax_lub; rewrite /tau /tau_at /=; lra.
Qed.
Lemma upto_lifted_rest : upto 0 (fun T => lifted_rest (S T) (C T)).
Proof.
rewrite /lifted_rest /=; case: ss; last exact: upto_0.
apply: (@upto_eq (INR (n0 - 1) * X * 0)); last by ring.
by apply: (times _ upto_nu) => //; lra.
Qed.
Lemma upto_lifted_bos : upto 0 (fun T => lifted_bos (S T) (C T)).
Proof.
rewrite /lifted_bos /=; case: ss; last exact: upto_0.
apply: (@upto_eq (INR (n0 - 1) * X * 0)); last by ring.
by apply: (times _ upto_nu_bos) => //; lra.
Qed.
Let zero_times k f : 0 <= k -> upto 0 f -> upto 0 (fun T => k * f T).
Proof. by move=> k0 uf; apply: (@upto_eq (k * 0)); [apply: times => //; lra | ring]. Qed.
Let zero_add f g : upto 0 f -> upto 0 g -> upto 0 (fun T => f T + g T).
Proof. by move=> uf ug; apply: (@upto_eq (0 + 0)); [exact: upto_add | ring]. Qed.
Let zero_mul b f g : upto 0 f -> near b g -> upto 0 (fun T => f T * g T).
Proof. by move=> uf ng; apply: (@upto_eq (0 * b)); [apply: upto_mul => //; lra | ring]. Qed.


Let F0 : 0 <= F. Proof. by have := Rmult_le_pos _ _ fn0 X0; lra. Qed.
Lemma upto_E_f : upto (fn * lift_share) (fun T => E_f (S T) (C T)).
Proof. exact: times fn0 upto_lifted share0. Qed.
Lemma upto_E_f_rest : upto 0 (fun T => E_f_rest (S T) (C T)).
Proof. exact: zero_times fn0 upto_lifted_rest. Qed.
Lemma upto_E_f_bos : upto 0 (fun T => E_f_bos (S T) (C T)).
Proof. exact: zero_times fn0 upto_lifted_bos. Qed.
Lemma near_feature : near F (fun T => longest_feature (S T) (C T)).
Proof.
apply: (@near_eq (F + 0 + 0)); last by ring.
apply: near_add (near_upto _ upto_E_f_bos); last by lra.
apply: near_add (near_const F0) (near_upto _ upto_E_f); exact: Rmult_le_pos.
Qed.
Lemma upto_fetched : upto (fn * lift_share + 3 * F) (fun T => fetched (S T) (C T)).
Proof.
apply: (@upto_eq (fn * lift_share + 0 + 0 + 3 * F)); last by ring.
apply: upto_add; last by apply: upto_mul upto_misplaced near_feature; lra.
apply: upto_add (zero_times (pos_INR K) upto_E_f_bos).
exact: upto_add upto_E_f upto_E_f_rest.
Qed.
Lemma upto_fetched_bos : upto 0 (fun T => fetched_bos (S T) (C T)).
Proof.
apply: zero_add upto_E_f_bos _; apply: zero_times (pos_INR K) _.
exact: zero_add upto_E_f_bos (zero_mul upto_shut near_feature).
Qed.
Let fetched0 : 0 <= fn * lift_share + 3 * F.
Proof. by have := Rmult_le_pos _ _ fn0 share0; have := F0; lra. Qed.
Lemma upto_E_y : upto (rad * INR n0.+1) (fun T => E_y (S T) (C T)).
Proof.
apply: (@upto_eq (rad * (INR n0.+1 * 1 + 2 * 0))); last by ring.
have n1 := pos_INR n0.+1; apply: times => //; last by lra.
apply: upto_add; first by apply: (times n1 upto_tau); lra.
by apply: (times _ upto_nu); lra.
Qed.
Lemma near_E_y : near 0 (fun T => E_y (S T) (C T)).
Proof. apply: near_upto upto_E_y; apply: Rmult_le_pos => //; exact: pos_INR. Qed.
Lemma near_value : near (2 * rad + bn) (fun T => longest_value (S T) (C T)).
Proof.
apply: (@near_eq (2 * rad + bn + 0 + 0)); last by ring.
apply: near_add near_E_y; apply: near_add; first by apply: near_const; lra.
apply: near_upto (times wn0 upto_fetched fetched0); exact: Rmult_le_pos.
Qed.
Lemma upto_value_bos : upto 0 (fun T => value_bos (S T) (C T)).
Proof. exact: zero_add (zero_times wn0 upto_fetched_bos) (zero_times rad0 upto_nu_bos). Qed.
Lemma near_values :
  near (2 * rad + bn) (fun T => longest_value (S T) (C T) + value_bos (S T) (C T)).
Proof.
apply: (@near_eq (2 * rad + bn + 0)); last by ring.
by apply: near_add near_value (near_upto _ upto_value_bos); lra.
Qed.
Lemma upto_executed : upto (wn * (fn * lift_share + 3 * F) + 3 * (2 * rad + bn))
  (fun T => executed (S T) (C T)).
Proof.
apply: (@upto_eq (wn * (fn * lift_share + 3 * F) + 3 * (2 * rad + bn) + 0)); last by ring.
apply: upto_add (zero_times (pos_INR K) upto_value_bos).
apply: upto_add (times wn0 upto_fetched fetched0) _.
by apply: upto_mul upto_misplaced near_values; lra.
Qed.
Lemma upto_idle : upto 0 (fun T => idle_y (S T) (C T)).
Proof.
apply: zero_add (zero_times rad0 upto_nu) _; apply: zero_times (pos_INR K) _.
exact: zero_add upto_value_bos (zero_mul upto_shut near_values).
Qed.

Definition first_order : R :=
  wn * fn * lift_share + 3 * wn * F + 3 * (2 * rad + bn) + rad.

Theorem upto_leak : upto first_order (fun T => leak (S T) (C T)).
Proof.
have ex0 : 0 <= wn * (fn * lift_share + 3 * F) + 3 * (2 * rad + bn).
  by have := Rmult_le_pos _ _ wn0 fetched0; lra.
set e1 := _ + _ in ex0.
apply: (@upto_eq (e1 + 0 + (1 + 0) * (rad + 0 + 0 + 0))); last by rewrite /e1 /first_order; ring.
  apply: upto_add; first apply: upto_add upto_executed _.
    by apply: (zero_times _ upto_idle); lra.
  apply: upto_mul; first lra.
    by apply: upto_add upto_tau _; apply: (zero_times _ upto_nu); lra.
  apply: near_add (near_upto _ upto_idle); last by lra.
  apply: near_add (near_upto ex0 upto_executed); exact: near_add (near_const rad0) near_E_y.
Qed.

(* The leak does not depend on the gains. *)
Corollary leak_first_order : exists c, forall T beta T0 P2 rr G th ab el, 0 <= T ->
  leak (with_gains m ss tasks T beta T0 P2 rr G th ab el) (C T) <=
  first_order * exp (- T) + c * exp (- (2 * T)).
Proof.
have [c _ lk] := upto_leak; exists c => T beta T0 P2 rr G th ab el T_ge0.
have [_] := lk T T_ge0; rewrite -exp_plus (_ : - T + - T = - (2 * T)); last by lra.
exact.
Qed.
End Shape.
