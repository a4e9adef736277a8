(* Lemma 3 (Recognize). After layer 3 a token's code z is the sum of the tasks' codes c_i, and its
   count the sum of 1, each with the weight that head i moves: within tau3 + nu3 of 1 at an
   example input in slot p_i that task i explains, at most tau3 + nu3 at one that it does not,
   and at most nu3 at every other token, BOS included. Here tau3 and nu3 belong to T_recognize,
   which is T less what BOS' own residual costs.

   Assumed: every residual of task i on an example is at most rho or at least delta; labels and
   outputs have norm at most R; Lemmas 1 and 2; and the gains' inequalities of `admissible`.
   Why: the token itself scores P2 L - beta |r|^2 and BOS P2 L - T0, up to beta <r, r_BOS>; any
   other token loses 2 P2 by position and gains at most beta (2R + kappa)^2. *)
From Theorem1 Require Import sums selection transformer stream prompt signs stages.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Recognize.
Variables (S : spec) (C : consts) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Hypotheses (adm : admissible S C) (wi : within C P).
Variable h : stream coord tok.
Hypothesis before : after_pair C h.
Notation T := (T_recognize C).
Notation beta := (beta S).
Notation T0 := (T0 S).
Notation P2 := (P2 S).
Notation raise := (recognize_raise S).
Notation Rad := (radius C).
Notation kappa := (kappa S C).
Notation L := (INR (ebits S) + INR (sbits S)).
Notation B := (2 * Rad + kappa).
Notation kB := (kappa_bos S C).
Notation slack := (slack S C).
Notation tau := (tau_at T).
Notation nu := (nu_at S T).
Notation hd := (@recognize_head S).
Notation slot_of i := (slot (task_of i)).
Notation f := (part (@fcoord S)).
Notation y := (part (@Y S)).

Let ex := pair_flags before.
Let mm := not_too_many wi.
Let e := same_example h.
Let s := same_slot h.
Let T_ge0 := T_recognize_ge0 adm.
Let beta0 := beta_ge0 adm.
Let R0 := radius_ge0 adm.
Let w0 := weight_norm_ge0 adm.
Let rho0 := tolerance_ge0 adm.

Definition residual i (t : tok) : vec 'I_(dim S) := apply (miss i) (h t).

Lemma residualE i t : residual i t =
  vsub (vadd (apply (weight (task_of i)) (f h t)) (vscale (b2R (is_inp t)) (bias (task_of i))))
    (y h t).
Proof.
apply: functional_extensionality => j.
rewrite /residual /apply /miss dotBl dotDl dotZl (dot_read_row _ _ (@finvK S) (@finvE S)) !dot_delta
  (h_inp ex).
by rewrite /vsub /vadd /vscale Rmult_comm.
Qed.

(* What Lemmas 1 and 2 leave of it. *)
Definition exact_residual i (t : tok) : vec 'I_(dim S) :=
  vsub (vadd (apply (weight (task_of i)) (exact_f t)) (vscale (b2R (is_inp t)) (bias (task_of i))))
    (exact_y t).
Lemma residual_off i t :
  norm (vsub (residual i t) (exact_residual i t)) <=
  weight_norm C * norm (vsub (f h t) (exact_f t)) + norm (vsub (y h t) (exact_y t)).
Proof.
rewrite residualE /exact_residual.
rewrite (_ : vsub _ _ = vsub (apply (weight (task_of i)) (vsub (f h t) (exact_f t)))
  (vsub (y h t) (exact_y t))).
  by apply: Rle_trans (norm_sub_le _ _) _; apply: Rplus_le_compat_r; exact: weights_bounded adm i _.
by rewrite apply_sub; vec_ring.
Qed.
Lemma residual_kappa i t : norm (vsub (residual i t) (exact_residual i t)) <= kappa.
Proof.
apply: Rle_trans (residual_off i t) _; apply: Rplus_le_compat; last exact: pair_y.
by apply: Rmult_le_compat_l => //; exact: pair_f.
Qed.
Lemma exact_residual_input i g p : p != ord_max ->
  exact_residual i (At g p) = vsub (output P i g p) (exact_y (At g p : tok)).
Proof.
by move=> pm; rewrite /exact_residual /= pm (negbTE pm) /output /=; vec_ring.
Qed.
Lemma exact_residual_last i g :
  exact_residual i (At g ord_max) = vscale (-1) (exact_y (At g ord_max : tok)).
Proof. by rewrite /exact_residual /= eqxx /= apply_zero; vec_ring. Qed.
Lemma exact_y_short t : norm (@exact_y S P t) <= Rad.
Proof.
by case: t => [|[j|] p] /=; rewrite ?norm0 //; exact: labels_bounded wi j.
Qed.
Lemma exact_residual_short i t : norm (exact_residual i t) <= 2 * Rad.
Proof.
case: t => [|g p]; first by rewrite /exact_residual /= apply_zero (_ : vsub _ _ = vzero) ?norm0;
  [lra | vec_ring].
case: (eqVneq p ord_max) => [-> | pm].
  rewrite exact_residual_last norm_scale Rabs_Ropp Rabs_R1; have := exact_y_short (At g ord_max);
    lra.
rewrite exact_residual_input //; apply: Rle_trans (norm_sub_le _ _) _.
have := exact_y_short (At g p); have := outputs_bounded wi i g pm; lra.
Qed.
Lemma residual_short i t : norm (residual i t) <= B.
Proof.
have -> : residual i t = vadd (vsub (residual i t) (exact_residual i t)) (exact_residual i t)
  by vec_ring.
apply: Rle_trans (norm_triangle _ _) _.
have := residual_kappa i t; have := exact_residual_short i t; lra.
Qed.
Lemma bos_residual i : norm (residual i BOS) <= kB.
Proof.
have -> : residual i BOS = vsub (residual i BOS) (exact_residual i BOS).
  by rewrite /exact_residual /= apply_zero; vec_ring.
apply: Rle_trans (residual_off i BOS) _; apply: Rplus_le_compat.
  apply: Rmult_le_compat_l => //; rewrite [exact_f _]/= (_ : vsub _ vzero = f h BOS);
    last by vec_ring.
  exact: (pair_f_bos before).
by rewrite [exact_y _]/= vsub_zero; exact: (pair_y_bos before).
Qed.
Lemma kB0 : 0 <= kB.
Proof.
case: (boolP (0 < K S)%N) (some_task adm) => // K0 _.
exact: Rle_trans (norm_ge0 _) (bos_residual (Ordinal K0)).
Qed.
Lemma B0 : 0 <= B.
Proof.
case: (boolP (0 < K S)%N) (some_task adm) => // K0 _.
exact: Rle_trans (norm_ge0 _) (residual_short (Ordinal K0) BOS).
Qed.
Lemma kappa0 : 0 <= kappa.
Proof.
case: (boolP (0 < K S)%N) (some_task adm) => // K0 _.
exact: Rle_trans (norm_ge0 _) (residual_kappa (Ordinal K0) BOS).
Qed.
Lemma slack0 : 0 <= slack.
Proof. by apply: Rmult_le_pos => //; apply: Rmult_le_pos; [exact: B0 | exact: kB0]. Qed.

Notation bits p p' := (dot (code (sbits S) p) (code (sbits S) p')).
Definition differs (p : 'I_(n0 S).+1) (t : tok) : R :=
  (INR (sbits S) - (if t is At _ p' then bits p p' else 0)) / 2.
Lemma read_other_slot (p : 'I_(n0 S).+1) t : dot (@other_slot S p) (h t) = differs p t.
Proof.
rewrite /other_slot dotZl dotBl dotZl dot_delta (h_one ex)
  (dot_read_row _ _ (@SinvK S) (@SinvE S)) /differs.
have -> : dot (code (sbits S) p) (fun b => h t (Sb b)) = if t is At _ p' then bits p p' else 0.
  case: t => [|g p']; first by apply: big1 => b _; rewrite (h_s ex) Rmult_0_r.
  by apply: eq_bigr => b _; rewrite (h_s ex).
lra.
Qed.
Lemma differs_own g p : differs p (At g p) = 0.
Proof. by rewrite /differs code_self; lra. Qed.
Lemma differs_ge0 p t : 0 <= differs p t.
Proof. rewrite /differs; case: t => [|g p'];
  [have := pos_INR (sbits S) | have := @code_le (sbits S) p p']; lra. Qed.
Lemma differs_other p g p' : p != p' -> 1 <= differs p (At g p').
Proof.
move=> pp; have room (x : 'I_(n0 S).+1) : (x < 2 ^ sbits S)%N
  by apply: leq_trans (ltn_ord x) (room_s S).
rewrite /differs; have := code_other (room p) (room p') pp; lra.
Qed.

Definition a_q i (q : tok) := 1 - b2R (is_inp q) + b2R (is_qry q) + differs (slot_of i) q.

Lemma read_elsewhere i q :
  dot (vadd (vsub (delta One) (vsub (delta Inp) (delta Qry))) (@other_slot S (slot_of i))) (h q)
    = a_q i q.
Proof. by rewrite dotDl read_other_slot !dotBl !dot_delta (h_one ex) !(h_inp ex) !(h_qry ex) /a_q;
  lra. Qed.

Lemma recognize_score i q k : scores (hd i) h q k =
  P2 * (e q k + s q k) - beta * dot (residual i q) (residual i k) +
    (P2 * L - T0 + raise * a_q i q) * b2R (is_bos k).
Proof.
rewrite /scores /= !score_tcat score_match !score_row.
have -> : dot (fun b => h q (position b)) (fun b => h k (position b)) = e q k + s q k
  by rewrite /dot big_sumType.
have -> : score (Term (fun j => vscale (- beta) (miss i j)) (miss i)) (h q) (h k) = - beta * dot
  (residual i q) (residual i k).
  by rewrite /score -dotZl; apply: eq_bigr => j _; rewrite /apply /= dotZl.
rewrite !dotZl read_elsewhere !dot_delta (h_one ex) (h_bos ex); lra.
Qed.

Lemma inner i q k (u v : R) : norm (residual i q) <= u -> norm (residual i k) <= v -> 0 <= u ->
  - (u * v) <= dot (residual i q) (residual i k) <= u * v.
Proof.
move=> qu kv u0; have := cauchy_schwarz (residual i q) (residual i k).
have := norm_ge0 (residual i q); have := norm_ge0 (residual i k) => a b.
have H : norm (residual i q) * norm (residual i k) <= u * v by apply: Rmult_le_compat.
by move=> CS; apply: Rabs_bounds; lra.
Qed.

Let sc i q k := scores (hd i) h q k.
Lemma bos_is_not (k : tok) : k != BOS -> is_bos k = false. Proof. by case: k. Qed.

Lemma T0_ge0 : 0 <= T0.
Proof.
have H := explained_wins adm; have s0 := slack0; have k0 := kappa0.
have : 0 <= beta * ((tolerance C + kappa) * (tolerance C + kappa)).
  by apply: Rmult_le_pos => //; apply: Rmult_le_pos; lra.
lra.
Qed.

Lemma a_ge0 i q : 0 <= a_q i q.
Proof.
rewrite /a_q; have := differs_ge0 (slot_of i) q; rewrite /b2R.
by case: (is_inp q); case: (is_qry q); lra.
Qed.

Lemma bos_score i q : P2 * L - T0 - slack + raise * a_q i q <= sc i q BOS.
Proof.
rewrite /sc recognize_score /e /s (bos_e ex) (bos_s ex) [b2R _](_ : _ = 1) //.
have [_ H] := inner (residual_short i q) (bos_residual i) B0.
have := Rmult_le_compat_l beta _ _ beta0 H; rewrite /statement.slack; lra.
Qed.

Lemma other_score i q k : k != BOS -> k != q -> sc i q k <= sc i q BOS - 2 * T.
Proof.
move=> kn kq; apply: Rle_trans (_ : P2 * L - T0 - slack + raise * a_q i q - 2 * T <= _);
  last by have := bos_score i q; lra.
rewrite /sc recognize_score (bos_is_not kn) [b2R false]/= Rmult_0_r Rplus_0_r.
have G1 := raised adm; have G2 := others_lose adm.
have tT0 := T0_ge0; have sl0 := slack0.
have a0 := a_ge0 i q; have ra : 0 <= raise * a_q i q by apply: Rmult_le_pos; lra.
have bb0 : 0 <= beta * (B * B).
  by apply: Rmult_le_pos => //; apply: Rmult_le_pos; exact: B0.
have P0 : 0 <= P2 by lra.
case: (eqVneq q BOS) => [qb | qn].
  have rq : norm (residual i q) <= kB by rewrite qb; exact: bos_residual.
  have [H _] := inner rq (residual_short i k) kB0.
  have bb := Rmult_le_compat_l beta _ _ beta0 H.
  have e0 : e q k = 0 by rewrite qb; exact: (from_bos_e ex).
  have s0 : s q k = 0 by rewrite qb; exact: (from_bos_s ex).
  have a1 : 1 <= a_q i q.
    have aux x : 0 <= x -> 1 <= 1 - 0 + 0 + x by lra.
    by rewrite qb; apply: aux; exact: differs_ge0.
  have L2 : 2 <= L.
    have /leP/le_INR := ebits_gt0 (some_example adm);
      have /leP/le_INR := sbits_gt0 (leq_ltn_trans (leq0n _) (some_input adm)).
    by rewrite /=; lra.
  have r1 : raise <= raise * a_q i q by rewrite -{1}[raise]Rmult_1_r; apply: Rmult_le_compat_l; lra.
  have p2 : 2 * P2 <= P2 * L by rewrite Rmult_comm; apply: Rmult_le_compat_l; lra.
  have sw : beta * (kB * B) = slack by rewrite /statement.slack; ring.
  rewrite e0 s0; lra.
have [H _] := inner (residual_short i q) (residual_short i k) B0.
have bb := Rmult_le_compat_l beta _ _ beta0 H.
have := Rmult_le_compat_l P2 _ _ P0 (position_other mm ex qn kn kq); rewrite -/(e q k) -/(s q k);
  lra.
Qed.

(* The weight that head i puts on inputs. *)
Definition mass i q := \sum_k softmax (scores (hd i) h q) k * b2R (is_inp k).
Lemma mass_ge0 i q : 0 <= mass i q.
Proof. by apply: sum_ge0 => k _; apply: Rmult_le_pos;
  [exact: softmax_ge0 | have := b2R_01 (is_inp k); lra]. Qed.
Lemma mass_le1 i q : mass i q <= 1.
Proof.
rewrite -(softmax_sum1 (scores (hd i) h q) BOS); apply: sum_le => k _.
rewrite -{2}[softmax _ _]Rmult_1_r; apply: Rmult_le_compat_l;
  [exact: softmax_ge0 | have := b2R_01 (is_inp k); lra].
Qed.
Lemma mass_le_losers i q : mass i q <= \sum_(k | ~~ pred1 BOS k) softmax (scores (hd i) h q) k.
Proof.
rewrite /mass (bigD1 BOS) //= Rmult_0_r Rplus_0_l; apply: sum_le => k _.
rewrite -{2}[softmax _ _]Rmult_1_r; apply: Rmult_le_compat_l;
  [exact: softmax_ge0 | have := b2R_01 (is_inp k); lra].
Qed.

(* q is an example's input in the head's slot. *)
Let slot_inp := slots_hold_inputs adm.
Notation at_slot_of i q := (at_slot q i).

Lemma at_slot_a i q : at_slot_of i q -> a_q i q = 0.
Proof. by case: q => [|[j|] p] //= /eqP <-; rewrite /a_q differs_own /= slot_inp /=; lra. Qed.
Lemma elsewhere_a i q : ~~ at_slot_of i q -> 1 <= a_q i q.
Proof.
have lo x y z : 0 <= x <= 1 -> 1 <= y -> 0 <= z -> 1 <= 1 - x + y + z by lra.
have hi x y z : 0 <= x <= 1 -> 0 <= y -> 1 <= z -> 1 <= 1 - x + y + z by lra.
have no y z : 0 <= y -> 0 <= z -> 1 <= 1 - 0 + y + z by lra.
case: q => [|[j|] p] ps; first by apply: no; [exact: Rle_refl | exact: differs_ge0].
- by apply: hi; [exact: b2R_01 | exact: (b2R_01 _).1 | exact: differs_other].
- by apply: lo; [exact: b2R_01 | exact: Rle_refl | exact: differs_ge0].
Qed.

Lemma self_score i q : q != BOS ->
  sc i q q = P2 * L - beta * (norm (residual i q) * norm (residual i q)).
Proof.
move=> qn; rewrite /sc recognize_score (bos_is_not qn) norm_sq /=.
by rewrite /e /s (position_self ex qn); lra.
Qed.
Lemma bos_score_at i q : at_slot_of i q -> P2 * L - T0 - slack <= sc i q BOS <= P2 * L - T0 + slack.
Proof.
move=> aq; split; first by have := bos_score i q; rewrite (at_slot_a aq); lra.
rewrite /sc recognize_score /e /s (bos_e ex) (bos_s ex) [b2R _](_ : _ = 1) // (at_slot_a aq).
have [H _] := inner (residual_short i q) (bos_residual i) B0.
have := Rmult_le_compat_l beta _ _ beta0 H; rewrite /statement.slack; lra.
Qed.

Lemma one_near (t u : tok) : (#|[pred k | ~~ pred1 t k & pred1 u k]| <= 1)%N.
Proof. by rewrite -(card1 u); apply/subset_leq_card/subsetP => k; rewrite !inE => /andP []. Qed.

(* Lemma 3, head by head. *)
Lemma mass_explained i q : at_slot_of i q -> norm (residual i q) <= tolerance C + kappa ->
  1 - (tau + nu) <= mass i q <= 1.
Proof.
move=> aq rq; split; last exact: mass_le1.
have qn : q != BOS by case: q aq rq.
have rr := Rmult_le_compat _ _ _ _ (norm_ge0 (residual i q)) (norm_ge0 (residual i q)) rq rq.
have br := Rmult_le_compat_l beta _ _ beta0 rr.
have lead : sc i q BOS <= sc i q q - T.
  by have := explained_wins adm; have := bos_score_at aq; rewrite (self_score i qn); lra.
have H := @losers_weight tok (sc i q) (sc i q q) T nu (pred1 q) (pred1 BOS) 1
  (nu_ge mm T) _ _ _ _ _.
have {H} : \sum_(k | ~~ pred1 q k) softmax (sc i q) k <= tau + nu.
  have -> : tau + nu = (INR 1 * tau + nu) / INR #|pred1 q| by rewrite card1 /= Rdiv_1; lra.
  apply: H; last exact: one_near.
  - by move=> k /eqP ->.
  - by move=> k _ /eqP ->.
  - by move=> k kq kn; have := other_score i kn kq; lra.
  - by rewrite card1.
have := softmax_sum1 (sc i q) q; rewrite (bigD1 q) //= => S1 S2.
have : softmax (sc i q) q <= mass i q.
  rewrite /mass (bigD1 q) //= (_ : b2R (is_inp q) = 1); last first.
    by case: q aq {rq qn rr br lead S1 S2} => [|[j|] p] //= /eqP <-; rewrite slot_inp.
  have grow x y : 0 <= y -> x <= x + y by lra.
  rewrite Rmult_1_r; apply: grow; apply: sum_ge0 => k _; apply: Rmult_le_pos;
    [exact: softmax_ge0 | exact: (b2R_01 _).1].
have fin u v x y : u + v = 1 -> v <= y -> u <= x -> 1 - y <= x by lra.
exact: fin S1 S2.
Qed.

Lemma mass_unexplained i q : at_slot_of i q -> margin C - kappa <= norm (residual i q) ->
  0 <= mass i q <= tau + nu.
Proof.
move=> aq rq; split; first exact: mass_ge0.
have qn : q != BOS by case: q aq rq.
have rr := Rmult_le_compat _ _ _ _ (room adm) (room adm) rq rq.
have br := Rmult_le_compat_l beta _ _ beta0 rr.
have lead : sc i q q <= sc i q BOS - T by have := unexplained_loses adm; have := bos_score_at aq;
  rewrite (self_score i qn); lra.
apply: Rle_trans (mass_le_losers i q) _.
have -> : tau + nu = (INR 1 * tau + nu) / INR #|pred1 (BOS : tok)| by rewrite card1 /= Rdiv_1; lra.
apply: (@losers_weight tok (sc i q) (sc i q BOS) T nu (pred1 BOS) (pred1 q) 1);
  last exact: one_near.
- exact: nu_ge.
- by move=> k /eqP ->.
- by move=> k _ /eqP ->.
- by move=> k kn kq; apply: other_score.
- by rewrite card1.
Qed.

Lemma mass_elsewhere i q : ~~ at_slot_of i q -> 0 <= mass i q <= nu.
Proof.
move=> aq; split; first exact: mass_ge0.
have a1 := elsewhere_a aq.
apply: Rle_trans (mass_le_losers i q) _.
have -> : nu = (INR 0 * tau + nu) / INR #|pred1 (BOS : tok)| by rewrite card1 /= Rdiv_1; lra.
apply: (@losers_weight tok (sc i q) (sc i q BOS) T nu (pred1 BOS) pred0 0) => //.
- exact: nu_ge.
- by move=> k /eqP ->.
- move=> k kn _; case: (eqVneq k q) => [kq | kq]; last exact: other_score.
  move: kn; rewrite kq => qn; rewrite (self_score i qn); have := bos_score i q.
  have G1 := raised adm; have tT0 := T0_ge0; have sl0 := slack0.
  have r1 : raise <= raise * a_q i q by rewrite -{1}[raise]Rmult_1_r; apply: Rmult_le_compat_l; lra.
  have : 0 <= beta * (norm (residual i q) * norm (residual i q)).
    by apply: Rmult_le_pos => //; have := norm_ge0 (residual i q); nra.
  lra.
- by rewrite card1.
- by rewrite eq_card0 // => k; rewrite inE andbF.
Qed.

(* The residual of an example in its task's slot tells whether the task explains it. *)
Lemma residual_gap i j :
  let r := residual i (At (Some j) (slot_of i)) in let g :=
    norm (vsub (perform P i (Some j)) (label P j)) in
  g - kappa <= norm r <= g + kappa.
Proof.
move=> r g; have H := residual_kappa i (At (Some j) (slot_of i)).
rewrite exact_residual_input // -/(perform P i (Some j)) [exact_y _]/= -/r in H.
move: H; rewrite /g; clear g; move: (vsub _ (label P j)) r => u r H.
have := norm_triangle (vsub r u) u; rewrite (_ : vadd (vsub r u) u = r); last by vec_ring.
have := norm_triangle (vsub u r) r; rewrite (_ : vadd (vsub u r) r = u); last by vec_ring.
have aux a b c k : a <= k -> b <= a + c -> c <= a + b -> b - k <= c <= b + k by lra.
rewrite norm_sub_sym; exact: aux H.
Qed.

Lemma recognized_mass i t : recognized C t i -> 1 - (tau + nu) <= mass i t <= 1.
Proof.
case: t => [|[j|] p] // /andP [ex_ sl]; apply: mass_explained => //.
move/eqP: sl => <-; have [_ H] := residual_gap i j; apply: Rle_trans H _.
by apply: Rplus_le_compat_r; move: ex_; rewrite /explains; case: Rle_dec.
Qed.
Lemma unrecognized_mass i t : ~~ recognized C t i -> 0 <= mass i t <= tau + nu.
Proof.
move=> no; have t0 : 0 <= tau by exact/Rlt_le/exp_pos.
case: (boolP (at_slot t i)) => [sl | /mass_elsewhere]; last by lra.
apply: mass_unexplained => //; case: t no sl => [|[j|] p] //= no sl.
move: no; rewrite sl andbT => no; move/eqP: sl => <-.
have [H _] := residual_gap i j; apply: Rle_trans H; apply: Rplus_le_compat_r.
by move: no; rewrite /explains; case: Rle_dec => // nr _; case: (decided wi i j).
Qed.

(* What the layer writes. *)
Notation h' := (run_layer (recognize_layer S) h).
Lemma recognize_others q (c : coord) : (forall x, c != verdict_at S x) -> h' q c = h q c.
Proof.
move=> no; rewrite run_heads big1 ?Rplus_0_r // => i _; exact: attention_other.
Qed.
Lemma recognize_count q : h' q Count = \sum_i mass i q.
Proof.
rewrite run_heads (pair_count before) Rplus_0_l; apply: eq_bigr => i _; apply: eq_bigr => k _.
by rewrite -[Count]/(verdict_at S (inr tt)) (apply_writes _ _ (@verdict_inj S)) /apply /= dot_delta
  (h_inp ex).
Qed.
Lemma recognize_code q a : h' q (Z a) = \sum_i mass i q * code_of i a.
Proof.
rewrite run_heads (pair_z before) Rplus_0_l; apply: eq_bigr => i _.
rewrite /mass -sum_scaler; apply: eq_bigr => k _.
by rewrite -[Z a]/(verdict_at S (inl a)) (apply_writes _ _ (@verdict_inj S)) /apply /= dotZl
  dot_delta (h_inp ex); ring.
Qed.

Theorem recognize_lemma : after_recognize C h'.
Proof.
have keep (c : coord) t : (forall x, c != verdict_at S x) ->
  h' t c = h t c by exact: recognize_others.
have keep_f t : f h' t = f h t.
  apply: functional_extensionality => l; apply: keep => x.
  by rewrite eq_sym; apply: not_feature; case: x.
have keep_y t : y h' t = y h t by apply: functional_extensionality => l; apply: keep; case.
split.
- by apply: keep_flags ex => t c fl; apply: keep => i; apply: contraL fl => /eqP ->; case: i.
- by move=> t; rewrite keep_f; exact: pair_f before t.
- by move=> t ni; rewrite keep_f; exact: (pair_f_rest before ni).
- by rewrite keep_f; exact: (pair_f_bos before).
- by move=> t; rewrite keep_y; exact: pair_y before t.
- by move=> t nt; rewrite keep_y; exact: pair_y_rest before t nt.
- by rewrite keep_y; exact: (pair_y_bos before).
- exists (fun t i => mass i t); split; [| split; [| split; [| split]]].
  + by move=> t a; exact: recognize_code.
  + by move=> t; exact: recognize_count.
  + by move=> t i; exact: recognized_mass.
  + by move=> t i; exact: unrecognized_mass.
  + by move=> t i; exact: mass_elsewhere.
- by move=> t; rewrite keep ?(pair_ok before) //; case.
Qed.
End Recognize.
