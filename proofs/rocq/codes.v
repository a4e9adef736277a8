(* Task codes: K points on the unit circle, c_i = (cos 2 pi i/K, sin 2 pi i/K).

   In words: the inner product of a code with itself is 1; with a neighbor's it is 1 - gap, where
   gap = 1 - cos(2 pi/K) (2 if K = 1), and with the code of any other task at most 1 - 2 gap; a task
   has two neighbors at most. Stored codes are rounded: all is said of codes within `ctol` of these
   points, which costs an inner product `dot_error` = 2 ctol + ctol^2. Exact codes have ctol = 0. *)
From Theorem1 Require Import statement sums.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

(* Natural numbers: lia reads Stdlib's order and sum. *)
Ltac nat_lia :=
  repeat match goal with
  | H : is_true (_ && _) |- _ => apply (elimT andP) in H; destruct H
  | H : is_true (leq _ _) |- _ => apply (elimT leP) in H
  end;
  try apply (introT leP); change addn with Nat.add in *; change subn with Nat.sub in *; lia.

Lemma cos_arc a x : 0 <= a -> a <= PI -> a <= x <= 2 * PI - a -> cos x <= cos a.
Proof.
move=> a0 ap [ax xa]; case: (Rle_dec x PI) => xp; first by apply: cos_decr_1; lra.
have -> : cos x = cos (2 * PI - x) by rewrite cos_minus cos_2PI sin_2PI; lra.
by apply: cos_decr_1; lra.
Qed.

(* 1 - cos 2x >= 2 (1 - cos x) for x <= pi/2. *)
Lemma double_angle x : 0 <= x -> x <= PI / 2 -> cos (2 * x) <= 1 - 2 * (1 - cos x).
Proof.
move=> x0 xp; have c0 := cos_ge_0 x (ltac:(lra)) xp.
rewrite cos_2a_cos; have := COS_bound x; nra.
Qed.

Section Circle.
Variable K : nat.
Implicit Types i j : 'I_K.

Definition angle i : R := 2 * PI * INR i / INR K.
Definition circle i : vec 'I_2 := fun a => if a == ord0 then cos (angle i) else sin (angle i).
Definition arc_gap : R := if K == 1%N then 2 else 1 - cos (2 * PI / INR K).

Lemma dot_circle i j : dot (circle i) (circle j) = cos (angle i - angle j).
Proof. by rewrite /dot !big_ord_recl big_ord0 /circle /= cos_minus; lra. Qed.

Lemma circle_self i : dot (circle i) (circle i) = 1.
Proof. by rewrite dot_circle (_ : angle i - angle i = 0) ?cos_0 //; lra. Qed.

Lemma circle_norm i : norm (circle i) = 1.
Proof. by rewrite /norm circle_self sqrt_1. Qed.

(* At least s steps apart, in both directions. *)
Definition steps (s : nat) i j : bool :=
  [&& (s + i <= j)%N || (s + j <= i)%N, (i + s <= j + K)%N & (j + s <= i + K)%N].

Lemma cos_steps i j (s : nat) : (s <= K)%N -> steps s i j -> 2 * PI * INR s / INR K <= PI ->
  cos (angle i - angle j) <= cos (2 * PI * INR s / INR K).
Proof.
have K0 : 0 < INR K by apply/lt_0_INR/ltP; apply: leq_ltn_trans (ltn_ord i).
move=> sK /and3P [dist ij ji] sp.
wlog le : i j dist ij ji / (i <= j)%N => [H | ].
  case: (leqP i j) => [le | /ltnW le]; first exact: H.
  rewrite (_ : angle i - angle j = - (angle j - angle i)) ?cos_neg; last by lra.
  by apply: H => //; rewrite orbC.
have p0 := PI_RGT_0; have s0 := pos_INR s.
have scale x : 2 * PI * x / INR K = 2 * PI / INR K * x by field; lra.
have -> : angle i - angle j = - (2 * PI * (INR j - INR i) / INR K) by rewrite /angle; field; lra.
have t0 : 0 < 2 * PI / INR K by apply: Rdiv_lt_0_compat; lra.
rewrite cos_neg; apply: cos_arc => //.
  by rewrite scale; apply: Rmult_le_pos; lra.
have d1 : INR s <= INR j - INR i.
  have : (s + i <= j)%N by case/orP: dist => [//|H]; nat_lia.
  by move=> /leP/le_INR; rewrite plus_INR; lra.
have d2 : INR j - INR i <= INR K - INR s by move/leP/le_INR: ji; rewrite !plus_INR; lra.
rewrite !scale; split; first by apply: Rmult_le_compat_l; lra.
have -> : 2 * PI - 2 * PI / INR K * INR s = 2 * PI / INR K * (INR K - INR s) by field; lra.
by apply: Rmult_le_compat_l; lra.
Qed.

Lemma circle_gap i j : i != j -> dot (circle i) (circle j) <= 1 - arc_gap.
Proof.
move=> ij; have ij' : (i < j)%N || (j < i)%N by rewrite -neq_ltn.
have K2 : (2 <= K)%N by have := ltn_ord i; have := ltn_ord j; case/orP: ij' => H ? ?; nat_lia.
have k2 : 2 <= INR K by move/leP/le_INR: K2 => /=; lra.
rewrite dot_circle /arc_gap (gtn_eqF K2).
have -> : 1 - (1 - cos (2 * PI / INR K)) = cos (2 * PI * INR 1 / INR K).
  by rewrite /= Rmult_1_r; lra.
apply: cos_steps.
- exact: ltnW.
- rewrite /steps !add1n ij' /=; have := ltn_ord i; have := ltn_ord j => ? ?.
  by apply/andP; split; nat_lia.
- have p0 := PI_RGT_0; apply: (Rmult_le_reg_r (INR K)); first by lra.
  by rewrite (_ : 2 * PI * INR 1 / INR K * INR K = 2 * PI); [nra | rewrite /=; field; lra].
Qed.

(* Tasks that are no neighbors, and the neighbors of a task. *)
Definition far_apart i j : bool := (4 <= K)%N && steps 2 i j.
Definition neighbors i : pred 'I_K := [pred j | j != i & ~~ far_apart i j].

Lemma circle_far i j : far_apart i j -> dot (circle i) (circle j) <= 1 - 2 * arc_gap.
Proof.
move=> /andP [K4 st]; have k4 : 4 <= INR K by move/leP/le_INR: K4 => /=; lra.
have p0 := PI_RGT_0; have t0 : 0 < 2 * PI / INR K by apply: Rdiv_lt_0_compat; lra.
have half : 2 * PI / INR K <= PI / 2.
  apply: (Rmult_le_reg_r (INR K)); first by lra.
  by rewrite (_ : 2 * PI / INR K * INR K = 2 * PI); [nra | field; lra].
rewrite dot_circle /arc_gap (gtn_eqF (leq_trans _ K4)) //.
apply: Rle_trans (double_angle (Rlt_le _ _ t0) half).
rewrite (_ : 2 * (2 * PI / INR K) = 2 * PI * INR 2 / INR K); last by rewrite /=; field; lra.
apply: cos_steps => //; first exact: leq_trans K4.
rewrite (_ : 2 * PI * INR 2 / INR K = 2 * (2 * PI / INR K)); first by lra.
by rewrite /=; field; lra.
Qed.

Lemma card_neighbors i : (#|neighbors i| <= 2)%N.
Proof.
have iK := ltn_ord i; case: (leqP 4 K) => K4.
  pose l := [:: if i.+1 == K then 0%N else i.+1; if (i : nat) == 0%N then K.-1 else i.-1].
  rewrite cardE -(size_map val) -[2%N]/(size l); apply: uniq_leq_size.
    by rewrite map_inj_uniq ?enum_uniq //; exact: val_inj.
  move=> x /mapP [j]; rewrite mem_enum inE /far_apart K4 /steps /= => /andP [ji no] ->.
  have jK := ltn_ord j; have ne : nat_of_ord j <> nat_of_ord i by move=> /val_inj/eqP; apply/negP.
  move: no; rewrite !negb_and negb_or -!ltnNge !inE => no.
  case: (i.+1 =P K) => e1; case: ((i : nat) =P 0%N) => e2; apply/orP;
    case: (leqP i j) => side; case/or3P: no => H;
    (try by left; apply/eqP; nat_lia); (by right; apply/eqP; nat_lia).
have le3 : (#|neighbors i| <= #|predC1 i|)%N.
  by apply/subset_leq_card/subsetP => k; rewrite !inE => /andP [].
have := cardC1 i; rewrite card_ord => c; rewrite c in le3.
apply: leq_trans le3 _; nat_lia.
Qed.
End Circle.

(* Codes within a tolerance of the circle: c as they are written, r as they are read. *)
Lemma close_norm (K : nat) (c : 'I_K -> vec 'I_2) ctol i :
  norm (vsub (c i) (circle i)) <= ctol -> norm (c i) <= 1 + ctol.
Proof.
move=> near; have -> : c i = vadd (circle i) (vsub (c i) (circle i)) by vec_ring.
by apply: Rle_trans (norm_triangle _ _) _; rewrite circle_norm; lra.
Qed.

Section Tolerance.
Variables (K : nat) (c r : 'I_K -> vec 'I_2) (ctol : R).
Hypothesis near_circle : forall i, norm (vsub (c i) (circle i)) <= ctol.
Hypothesis near_circle_r : forall i, norm (vsub (r i) (circle i)) <= ctol.
Implicit Types i j : 'I_K.
Definition dot_error := 2 * ctol + ctol * ctol.

Lemma dot_error_ge0 : 0 <= ctol -> 0 <= dot_error.
Proof. by rewrite /dot_error; nra. Qed.

Lemma close_dot i j :
  Rabs (dot (c i) (r j) - dot (circle i) (circle j)) <= dot_error.
Proof.
have bound (u v : vec 'I_2) a b : norm u <= a -> norm v <= b -> Rabs (dot u v) <= a * b.
  move=> ua vb; apply: Rle_trans (cauchy_schwarz u v) _.
  by apply: Rmult_le_compat => //; exact: norm_ge0.
have unit i' : norm (circle i') <= 1 by rewrite circle_norm; lra.
pose d := vsub (c i) (circle i); pose e := vsub (r j) (circle j).
have -> : c i = vadd (circle i) d by rewrite /d; vec_ring.
have -> : r j = vadd (circle j) e by rewrite /e; vec_ring.
have nd : norm d <= ctol := near_circle i; have ne : norm e <= ctol := near_circle_r j.
have [a1 a2] := Rabs_bounds (bound _ _ _ _ (unit i) ne).
have [b1 b2] := Rabs_bounds (bound _ _ _ _ nd (unit j)).
have [d1 d2] := Rabs_bounds (bound _ _ _ _ nd ne).
rewrite dotDl (dotDr _ _ (circle i)) (dotDr _ _ d) /dot_error.
by apply: Rabs_of_bounds; split; lra.
Qed.

Lemma close_self i : 1 - dot_error <= dot (c i) (r i) <= 1 + dot_error.
Proof. by have [] := Rabs_bounds (close_dot i i); rewrite circle_self => *; split; lra. Qed.

Lemma close_gap i j : i != j -> dot (c i) (r j) <= 1 - arc_gap K + dot_error.
Proof. by move=> /circle_gap; have [] := Rabs_bounds (close_dot i j); lra. Qed.

Lemma close_far i j : far_apart i j -> dot (c i) (r j) <= 1 - 2 * arc_gap K + dot_error.
Proof. by move=> /circle_far; have [] := Rabs_bounds (close_dot i j); lra. Qed.
End Tolerance.

(* Exact codes. *)
Lemma circle_tolerance (K : nat) (i : 'I_K) : norm (vsub (circle i) (circle i)) <= 0.
Proof.
have -> : vsub (circle i) (circle i) = vzero by vec_ring.
by rewrite norm0; lra.
Qed.
Lemma dot_error0 : dot_error 0 = 0.
Proof. by rewrite /dot_error; lra. Qed.

(* What the lemmas need of codes c_i, read as r_i: `near i` are the neighbors of task i, ct the
   tolerance of an inner product, longest what a sum of codes with weights in [0, 1] measures along
   any code. *)
Record good_codes (K : nat) (c r : 'I_K -> vec 'I_2) (near : 'I_K -> pred 'I_K)
    (gp ct longest : R) : Prop := {
  good_ct : 0 <= ct;
  good_self : forall i, 1 - ct <= dot (c i) (r i);
  good_dot : forall i j, Rabs (dot (c i) (r j)) <= 1 + ct;
  good_gap : forall i j, j != i -> dot (c i) (r j) <= 1 - gp + ct;
  good_far : forall i j, j != i -> ~~ near i j -> dot (c i) (r j) <= 1 - 2 * gp + ct;
  good_near : forall i, (#|near i| <= 2)%N;
  good_sum : forall w : 'I_K -> R, (forall i, 0 <= w i <= 1) ->
    forall j, Rabs (\sum_i w i * dot (c i) (r j)) <= longest }.
