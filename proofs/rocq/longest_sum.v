(* The longest sum of task codes with weights between 0 and 1.

   In words: let each of the K points of the circle have a weight in [0, e]. Their weighted sum is
   at most e S long, where S is the length of the sum of a half circle of them: 1/sin(pi/K) for even
   K, 1/(2 sin(pi/2K)) for odd K > 1, and 1 for K = 1. For codes within `ctol` of the circle it is
   at most e (S + K ctol).

   Proof: seen from one direction, the sum is largest when the points on that side have full weight
   and the others none. The points on one side follow each other, so their sum telescopes. *)
From Theorem1 Require Import statement sums codes.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Local Notation "\sum_ ( i < n | P ) F" := (\big[Rplus/0%R]_(i < n | P%B) F%R) : R_scope.
Local Notation "\sum_ ( i < n ) F" := (\big[Rplus/0%R]_(i < n) F%R) : R_scope.

(* A telescoping sum over an interval of indices. *)
Lemma run_sum (P : nat -> bool) (w : nat -> R) n :
  (forall i j k, (i < j < k)%N -> P i -> P k -> P j) ->
  exists p q, [/\ \sum_(i < n | P i) (w i.+1 - w i) = w q - w p, (p <= q <= n)%N
    & forall i, (i < n)%N -> P i = (p <= i < q)%N].
Proof.
move=> conv; elim: n => [|n [p [q [IH /andP [pq qn] Pi]]]].
  by exists 0%N, 0%N; split=> //; rewrite big_ord0; lra.
have last i : (i < n.+1)%N -> i = n \/ (i < n)%N.
  by rewrite ltnS leq_eqVlt => /orP [/eqP|]; [left | right].
have -> : \sum_(i < n.+1 | P i) (w i.+1 - w i) = w q - w p + if P n then w n.+1 - w n else 0.
  by rewrite -IH big_mkcond big_ord_recr /= -big_mkcond.
case E : (P n); last first.
  exists p, q; split; [lra | by rewrite pq leqW | move=> i /last [-> | /Pi //]].
  by rewrite E; apply/esym/negbTE; rewrite negb_and -(leqNgt q n) qn orbT.
case: (eqVneq p q) => [pq' | pq'].
  exists n, n.+1; split; [by rewrite pq'; lra | by rewrite leqnSn leqnn | move=> i /last [-> | lt]].
    by rewrite E !leqnn.
  by rewrite (Pi _ lt) pq' [(n <= i)%N]leqNgt lt /= [(i < q)%N]ltnNge andbN.
have lt : (p < q)%N by rewrite ltn_neqAle pq' pq.
have qE : q = n.
  apply/eqP; rewrite eqn_leq qn /= leqNgt; apply/negP => qn'.
  have Pp : P p by rewrite Pi ?leqnn ?lt //; exact: leq_trans lt qn.
  have : P q by apply: (conv p q n) => //; rewrite lt qn'.
  by rewrite Pi // ltnn andbF.
exists p, n.+1; split; [by rewrite qE; lra | by rewrite leqnn andbT leqW // -qE | move=> i].
move=> /last [-> | lt']; first by rewrite E ltnSn -qE pq.
by rewrite (Pi _ lt') qE lt' ltnS (ltnW lt').
Qed.

(* S sin(pi/K): 1 for even K, cos(pi/2K) for odd K. *)
Definition half (K : nat) : R := if odd K then cos (PI / INR K / 2) else 1.
Definition longest_of (K : nat) : R := if K == 1%N then 1 else half K / sin (PI / INR K).

Section Direction.
Variable K : nat.
Hypothesis K2 : (2 <= K)%N.
Let k2 : 2 <= INR K. Proof. by move/leP/le_INR: K2 => /=; lra. Qed.
Let h := PI / INR K.
Let h0 : 0 < h. Proof. by apply: Rdiv_lt_0_compat; [exact: PI_RGT_0 | lra]. Qed.
Let hp : h * INR K = PI. Proof. by rewrite /h; field; lra. Qed.
Let sh : 0 < sin h.
Proof. by apply: sin_gt_0 => //; have := PI_RGT_0; have := hp; nra. Qed.

(* One direction: beta in [pi/2, 3 pi/2]. The points at most a quarter turn away are those of P. *)
Variable beta : R.
Hypothesis range : PI / 2 <= beta <= 3 * (PI / 2).
Let x (i : nat) := cos (2 * h * INR i - beta).
Let w (i : nat) := sin (2 * h * INR i - h - beta).
Let step i : w i.+1 - w i = 2 * sin h * x i.
Proof.
rewrite /w /x S_INR; set t := 2 * h * INR i - beta.
have -> : 2 * h * (INR i + 1) - h - beta = t + h by rewrite /t; lra.
have -> : 2 * h * INR i - h - beta = t - h by rewrite /t; lra.
by rewrite sin_plus sin_minus; lra.
Qed.
Let closed : w K = w 0%N.
Proof.
rewrite /w; set t := 2 * h * INR 0 - h - beta.
have -> : 2 * h * INR K - h - beta = t + 2 * PI by rewrite /t /=; have := hp; lra.
by rewrite sin_plus sin_2PI cos_2PI; lra.
Qed.
Let P (i : nat) : bool := if Rle_dec (Rabs (2 * h * INR i - beta)) (PI / 2) then true else false.
Let PP i : P i -> - (PI / 2) <= 2 * h * INR i - beta <= PI / 2.
Proof. by rewrite /P; case: Rle_dec => // H _; apply: Rabs_bounds. Qed.
Let P_in i : P i -> 0 <= x i.
Proof. by move=> /PP [H1 H2]; rewrite /x; apply: cos_ge_0. Qed.
Let P_out i : (i < K)%N -> ~~ P i -> x i <= 0.
Proof.
move=> iK; rewrite /P; case: Rle_dec => // H _; rewrite /x.
have p0 := PI_RGT_0; have i0 := pos_INR i.
have iK' : INR i <= INR K by apply/le_INR/leP/ltnW.
have up : 2 * h * INR i <= 2 * PI.
  by rewrite -hp; have := Rmult_le_compat_l h _ _ (Rlt_le _ _ h0) iK'; lra.
have lo : 0 <= 2 * h * INR i by apply: Rmult_le_pos; lra.
case: (Rle_dec 0 (2 * h * INR i - beta)) => s.
  by apply: cos_le_0; move: H; rewrite Rabs_pos_eq //; lra.
rewrite -cos_neg; apply: cos_le_0; move: H; rewrite Rabs_left1; lra.
Qed.
Let P_conv i j k : (i < j < k)%N -> P i -> P k -> P j.
Proof.
move=> /andP [/ltnW/leP/le_INR ij /ltnW/leP/le_INR jk] /PP [a b] /PP [e f].
rewrite /P; case: Rle_dec => // H; exfalso; apply: H.
have A := Rmult_le_compat_l (2 * h) _ _ (ltac:(lra)) ij.
have B := Rmult_le_compat_l (2 * h) _ _ (ltac:(lra)) jk.
by apply: Rabs_of_bounds; split; lra.
Qed.

(* For odd K no run of points is exactly half a circle long. *)
Let half_turn l : 0 <= INR l * h <= PI -> sin (INR l * h) <= half K.
Proof.
move=> lh; rewrite /half; case O : (odd K); last by have := SIN_bound (INR l * h); lra.
have p0 := PI_RGT_0; rewrite -cos_shift; have Ko := odd_double_half K; rewrite O in Ko.
have kE : INR K = 1 + 2 * INR K./2.
  by rewrite -{1}Ko -muln2 -plusE -multE plus_INR mult_INR /=; lra.
have pos : 0 <= PI / INR K / 2 by have := h0; rewrite /h; lra.
have le2 : PI / INR K / 2 <= PI by have := hp; have := h0; rewrite -/h; nra.
case: (leqP l K./2) => [/leP/le_INR le | /leP/le_INR]; last rewrite S_INR => le.
  by apply: cos_arc => //; have := hp; have := h0; rewrite -/h; nra.
by rewrite -cos_neg; apply: cos_arc => //; have := hp; have := h0; rewrite -/h; nra.
Qed.
Let diff p q : (p <= q <= K)%N -> Rabs (w q - w p) <= 2 * half K.
Proof.
move=> /andP [pq qK]; set l := (q - p)%N.
have qE : INR q = INR l + INR p by rewrite -plus_INR plusE subnK.
have lK : INR l <= INR K by apply/le_INR/leP; apply: leq_trans (leq_subr _ _) qK.
have l0 := pos_INR l; have p0 := PI_RGT_0.
have lh : 0 <= INR l * h <= PI.
  split; first by apply: Rmult_le_pos; lra.
  by rewrite -hp Rmult_comm; apply: Rmult_le_compat_l; lra.
set m := h * (INR q + INR p) - h - beta.
have -> : w q - w p = 2 * (sin (INR l * h) * cos m).
  rewrite /w.
  have -> : 2 * h * INR q - h - beta = m + INR l * h by rewrite /m qE; lra.
  have -> : 2 * h * INR p - h - beta = m - INR l * h by rewrite /m qE; lra.
  by rewrite sin_plus sin_minus; lra.
have s0 : 0 <= sin (INR l * h) by apply: sin_ge_0; lra.
have c1 : Rabs (cos m) <= 1 by apply: Rabs_of_bounds; have := COS_bound m; lra.
have s1 := half_turn lh.
rewrite Rabs_mult (Rabs_pos_eq 2); last by lra.
by rewrite Rabs_mult (Rabs_pos_eq (sin _)) //; have := Rabs_pos (cos m); nra.
Qed.
Let run : Rabs (\sum_(i < K | P i) (2 * sin h * x i)) <= 2 * half K.
Proof.
have [p [q [E pq _]]] := @run_sum P w K P_conv.
rewrite (eq_bigr (fun i : 'I_K => w i.+1 - w i)) ?E; first exact: diff.
by move=> i _; rewrite step.
Qed.
Let all_zero : \sum_(i < K) (2 * sin h * x i) = 0.
Proof.
rewrite (eq_bigr (fun i : 'I_K => w i.+1 - w i)); last by move=> i _; rewrite step.
have tele n : \sum_(i < n) (w i.+1 - w i) = w n - w 0%N.
  by elim: n => [|n IH]; [rewrite big_ord0; lra | rewrite big_ord_recr /= IH; lra].
by rewrite tele closed; lra.
Qed.

(* Weights in [0, 1] give no more than the full weight where the summand is positive. *)
Let pick_best (a : 'I_K -> R) (Q : pred 'I_K) (f : 'I_K -> R) : (forall i, 0 <= a i <= 1) ->
  (forall i, Q i -> 0 <= f i) -> (forall i, ~~ Q i -> f i <= 0) ->
  \sum_i a i * f i <= \sum_(i | Q i) f i.
Proof.
move=> a01 q nq; rewrite [X in _ <= X]big_mkcond; apply: sum_le => i _.
have [a0 a1] := a01 i; case E : (Q i); first by have := q i E; nra.
by have := nq i (negbT E); nra.
Qed.

Lemma direction (a : 'I_K -> R) : (forall i, 0 <= a i <= 1) ->
  Rabs (\sum_(i < K) a i * x i) <= half K / sin h.
Proof.
move=> a01; have up : \sum_(i < K) a i * x i <= \sum_(i < K | P i) x i.
  by apply: pick_best => // i; [exact: P_in | exact: P_out].
have dn : \sum_(i < K) a i * - x i <= \sum_(i < K | ~~ P i) - x i.
  by apply: pick_best => // i => [/(P_out (ltn_ord i)) | /negPn/P_in]; lra.
have [r1 r2] := Rabs_bounds run; move: r1 r2; rewrite !sum_scale => r1 r2.
move: all_zero; rewrite sum_scale (bigID (fun i : 'I_K => P i)) /= => z.
have flip : \sum_(i < K) a i * - x i = - \sum_(i < K) a i * x i.
  by rewrite -sum_opp; apply: eq_bigr => i _; lra.
rewrite flip sum_opp in dn; have s2 : 0 < / sin h by apply: Rinv_0_lt_compat.
set SP := \sum_(i < K | P i) x i in up r1 r2 z.
set SN := \sum_(i < K | ~~ P i) x i in dn z; set SA := \sum_(i < K) _ in up dn *.
have inv : sin h * / sin h = 1 by apply: Rinv_r; lra.
have z' : SP + SN = 0 by nra.
by rewrite /Rdiv; apply: Rabs_of_bounds; split; apply: (Rmult_le_reg_l (sin h)) => //; nra.
Qed.
End Direction.

Definition mix (K : nat) (w : 'I_K -> R) (c : 'I_K -> vec 'I_2) : vec 'I_2 :=
  fun a => \sum_i w i * c i a.

Lemma dot_mix (K : nat) (w : 'I_K -> R) c v : dot (mix w c) v = \sum_i w i * dot (c i) v.
Proof.
rewrite /dot /mix (eq_bigr (fun a => \sum_i w i * (c i a * v a))); last first.
  by move=> a _; rewrite -sum_scaler; apply: eq_bigr => i _; lra.
by rewrite exchange_big /=; apply: eq_bigr => i _; rewrite sum_scale.
Qed.

Lemma longest_ge0 K : (0 < K)%N -> 0 <= longest_of K.
Proof.
rewrite leq_eqVlt eq_sym /longest_of; case: eqP => [_ _|_ /= K2]; first lra.
have k2 : 2 <= INR K by move/leP/le_INR: K2 => /=; lra.
have p0 := PI_RGT_0; have t : 0 < PI / INR K by apply: Rdiv_lt_0_compat; lra.
have e : PI / INR K * INR K = PI by field; lra.
apply: Rmult_le_pos; last by apply/Rlt_le/Rinv_0_lt_compat/sin_gt_0; nra.
by rewrite /half; case: (odd K); [apply: cos_ge_0; nra | lra].
Qed.

Lemma circle_sum1 (K : nat) (w : 'I_K -> R) : (0 < K)%N -> (forall i, 0 <= w i <= 1) ->
  norm (mix w (@circle K)) <= longest_of K.
Proof.
move=> K0 w01; set v := mix w _; have n0 := norm_ge0 v; have nn := norm_sq v.
have L0 := longest_ge0 K0; move: K0 L0; rewrite leq_eqVlt eq_sym /longest_of.
case: eqP => [K1 _ _ | _ /= K2 L0].
  apply: Rle_trans (norm_sum _ _ _ _) _.
  apply: Rle_trans (_ : \sum_(i < K) 1 <= _); last first.
    by rewrite (sum_const xpredT) card_ord K1 /=; lra.
  by apply: sum_le => i _; rewrite circle_norm; have := w01 i => ?; rewrite Rabs_pos_eq; lra.
have k2 : 2 <= INR K by move/leP/le_INR: K2 => /=; lra.
have dv : dot v v = v ord0 * v ord0 + v (lift ord0 ord0) * v (lift ord0 ord0).
  by rewrite /dot !big_ord_recl big_ord0; lra.
case: (Req_dec (norm v) 0) => [-> // | nz].
pose a := v ord0 / norm v; pose b := v (lift ord0 ord0) / norm v.
have ab : a * a + b * b = 1.
  rewrite (_ : a * a + b * b = dot v v / (norm v * norm v)); last by rewrite dv /a /b; field.
  by rewrite nn; field; rewrite -nn; nra.
(* (a, b) = eps (cos beta, sin beta) *)
pose eps := if Rle_dec a 0 then 1 else -1.
have ea : eps * a <= 0 by rewrite /eps; case: Rle_dec => H /=; lra.
have e2 : eps * eps = 1 by rewrite /eps; case: Rle_dec => H /=; lra.
have bb : -1 <= eps * b <= 1 by split; nra.
pose s := asin (eps * b); pose beta := PI - s.
have sb : sin beta = eps * b by rewrite /beta sin_PI_x sin_asin.
have cb : cos beta = eps * a.
  rewrite /beta Rtrigo_facts.cos_pi_minus cos_asin //.
  rewrite (_ : 1 - Rsqr (eps * b) = Rsqr (eps * a)); last by rewrite /Rsqr; nra.
  by rewrite sqrt_Rsqr_abs Rabs_left1; lra.
have range : PI / 2 <= beta <= 3 * (PI / 2) by have := asin_bound (eps * b); rewrite /beta -/s; lra.
have D := direction K2 range w01.
have E : norm v = eps * \sum_(i < K) w i * cos (2 * (PI / INR K) * INR i - beta).
  have -> : norm v = dot v (fun k => v k / norm v).
    rewrite (_ : dot v _ = dot v v / norm v); first by rewrite -nn; field.
    by rewrite /dot /Rdiv -sum_scaler; apply: eq_bigr => k _; rewrite Rmult_assoc.
  rewrite {1}/v dot_mix -sum_scale; apply: eq_bigr => i _.
  rewrite /dot !big_ord_recl big_ord0 -/a -/b /circle /= cos_minus cb sb.
  have -> : 2 * (PI / INR K) * INR i = angle i by rewrite /angle; field; lra.
  have aux c d u :
    eps * (u * (c * (eps * a) + d * (eps * b))) = (eps * eps) * (u * (c * a + d * b)) by ring.
  by rewrite aux e2 Rplus_0_r Rmult_1_l.
have fin z S : Rabs z <= S -> eps * z <= S.
  by move=> /Rabs_bounds [z1 z2]; rewrite /eps; case: Rle_dec => H /=; lra.
by rewrite E; apply: fin.
Qed.

(* The longest sum of codes: weights in [0, e]. *)
Theorem circle_sum (K : nat) (w : 'I_K -> R) e : (0 < K)%N -> (forall i, 0 <= w i <= e) -> 0 <= e ->
  norm (mix w (@circle K)) <= e * longest_of K.
Proof.
move=> K0 w0e e0; case: (Req_dec e 0) => [ez | nz].
  rewrite (_ : mix _ _ = @vzero _) ?norm0 ?ez; first by lra.
  apply: functional_extensionality => a; apply: big1 => i _.
  by rewrite (_ : w i = 0); [lra | have := w0e i; lra].
rewrite (_ : mix w _ = vscale e (mix (fun i => w i / e) (@circle K))); last first.
  apply: functional_extensionality => a; rewrite /vscale /mix -sum_scale.
  by apply: eq_bigr => i _; field.
rewrite norm_scale Rabs_pos_eq //; apply: Rmult_le_compat_l => //; apply: circle_sum1 => // i.
have [a b] := w0e i; have i0 : 0 < / e by apply: Rinv_0_lt_compat; lra.
split; first by apply: Rmult_le_pos; lra.
by apply: (Rmult_le_reg_r e); [lra | rewrite /Rdiv Rmult_assoc Rinv_l //; lra].
Qed.

(* Codes within a tolerance of the circle. *)
Theorem close_sum (K : nat) (c : 'I_K -> vec 'I_2) ctol (w : 'I_K -> R) e : (0 < K)%N ->
  (forall i, norm (vsub (c i) (circle i)) <= ctol) -> (forall i, 0 <= w i <= e) -> 0 <= e ->
  norm (mix w c) <= e * (longest_of K + INR K * ctol).
Proof.
move=> K0 near w0e e0.
have -> : mix w c = vadd (mix w (@circle K)) (fun a => \sum_i w i * vsub (c i) (circle i) a).
  apply: functional_extensionality => a; rewrite /vadd /mix -big_split; apply: eq_bigr => i _ /=.
  by rewrite /vsub; lra.
apply: Rle_trans (norm_triangle _ _) _; rewrite Rmult_plus_distr_l; apply: Rplus_le_compat.
  exact: circle_sum.
apply: Rle_trans (norm_sum _ _ _ _) _.
apply: Rle_trans (_ : \sum_(i < K) e * ctol <= _); last first.
  by rewrite (sum_const xpredT) card_ord; lra.
apply: sum_le => i _; have [a b] := w0e i; rewrite Rabs_pos_eq //.
by apply: Rmult_le_compat => //; exact: norm_ge0.
Qed.

(* The closed forms. *)
Lemma longest_even K : (2 <= K)%N -> ~~ odd K -> longest_of K = / sin (PI / INR K).
Proof. by move=> K2 /negbTE O; rewrite /longest_of gtn_eqF // /half O /Rdiv Rmult_1_l. Qed.

Lemma longest_odd K : (2 <= K)%N -> odd K -> longest_of K = / (2 * sin (PI / INR K / 2)).
Proof.
move=> K2 O; rewrite /longest_of gtn_eqF // /half O; set t := PI / INR K / 2.
have k2 : 2 <= INR K by move/leP/le_INR: K2 => /=; lra.
have p0 := PI_RGT_0; have h0 : 0 < PI / INR K by apply: Rdiv_lt_0_compat; lra.
have e : PI / INR K * INR K = PI by field; lra.
have s0 : 0 < sin t by apply: sin_gt_0; rewrite /t; nra.
have c0 : 0 < cos t by apply: cos_gt_0; rewrite /t; nra.
have -> : PI / INR K = 2 * t by rewrite /t; lra.
by rewrite sin_2a; field; split; apply: Rgt_not_eq.
Qed.

(* Codes within a tolerance of the circle, and the points themselves, are good codes. *)
Theorem near_circle_good (K : nat) (c r : 'I_K -> vec 'I_2) ctol : (0 < K)%N -> 0 <= ctol ->
  (forall i, norm (vsub (c i) (circle i)) <= ctol) ->
  (forall i, norm (vsub (r i) (circle i)) <= ctol) ->
  good_codes c r (@neighbors K) (arc_gap K) (dot_error ctol)
    ((longest_of K + INR K * ctol) * (1 + ctol)).
Proof.
move=> K0 t0 near near_r; split.
- exact: dot_error_ge0.
- by move=> i; have [] := close_self near near_r i.
- move=> i j; apply: Rle_trans (cauchy_schwarz _ _) _.
  have ci := close_norm (near i); have rj := close_norm (near_r j).
  have := Rmult_le_compat _ _ _ _ (norm_ge0 (c i)) (norm_ge0 (r j)) ci rj; rewrite /dot_error; nra.
- by move=> i j ji; apply: close_gap => //; rewrite eq_sym.
- move=> i j ji; rewrite /neighbors !inE ji /= negbK; exact: close_far.
- exact: card_neighbors.
move=> w w01 j; rewrite -dot_mix; apply: Rle_trans (cauchy_schwarz _ _) _.
apply: Rmult_le_compat; [exact: norm_ge0 | exact: norm_ge0 | | exact: close_norm].
by rewrite -[X in _ <= X]Rmult_1_l; apply: close_sum => //; lra.
Qed.

Corollary circle_good K : (0 < K)%N ->
  good_codes (@circle K) (@circle K) (@neighbors K) (arc_gap K) 0 (longest_of K).
Proof.
move=> K0; have := near_circle_good K0 (Rle_refl 0) (@circle_tolerance K) (@circle_tolerance K).
by rewrite dot_error0 Rmult_0_r !Rplus_0_r Rmult_1_r.
Qed.

(* The stored codes of a transformer are good codes. *)
Corollary stored_good (S : spec) (C : consts) : admissible S C ->
  good_codes (@code_of S) (@read_code_of S) (@neighbors (K S)) (gap S) (code_error C) (longest S C).
Proof.
move=> adm; apply: near_circle_good; [exact: some_task adm | | exact: codes_close adm |].
  by have [_ [_ []]] := signs adm.
exact: read_codes_close adm.
Qed.
