(* Lemma 4 (Commit). After layer 4 every token's code is the sum of the tasks' codes, each with a
   weight that is at least 1 - (2 tau + stray) and at most 1 + stray for the tasks in the
   token's verdict, and between 0 and stray for the others, stray = tau3 + (n + 1) nu3 + nu. The
   verdict of a label is the set of all tasks that explain its example, that of an example's
   input those of its own slot, and empty elsewhere. ok is exactly 1 where the verdict is one
   task, and exactly 0 where it is none or several, at every token.

   Assumed: Lemma 3, K stray <= 1/4 and min (K, 2) (2 tau + stray) <= 1/4. Why: at a label the
   n - 1 inputs of its example tie; the label itself and BOS are near and hold at most nu3 of
   each task; all else is 2T behind. Everybody else idles on BOS: what it reads of BOS is at
   most (n - 1) nu3, and what it reads of the labels' inputs at most (n - 1) m' e^-2T <= nu. The
   count is then within 1/4 of a plateau of the trapezoid. *)
From Theorem1 Require Import sums selection transformer stream prompt signs own_example stages.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* The MLP, in exact arithmetic. *)
Definition trapezoid c :=
  2 * Rmax (c - 1/4) 0 - 2 * Rmax (c - 3/4) 0 - 2 * Rmax (c - 5/4) 0 + 2 * Rmax (c - 7/4) 0.
Lemma trapezoid_low c : c <= 1/4 -> trapezoid c = 0.
Proof. by move=> H; rewrite /trapezoid !Rmax_right; lra. Qed.
Lemma trapezoid_one c : 3/4 <= c <= 5/4 -> trapezoid c = 1.
Proof.
move=> [H1 H2]; rewrite /trapezoid (Rmax_left (c - 1/4)) ?(Rmax_left (c - 3/4))
  ?(Rmax_right (c - 5/4));
  rewrite ?(Rmax_right (c - 7/4)); lra.
Qed.
Lemma trapezoid_high c : 7/4 <= c -> trapezoid c = 0.
Proof. by move=> H; rewrite /trapezoid !Rmax_left; lra. Qed.

(* A count: weights near 1 on the verdict, near 0 elsewhere. *)
Lemma count_bounds (I : finType) (V : pred I) (w : I -> R) dv e : 0 <= e ->
  (forall i, V i -> 1 - dv <= w i <= 1 + e) -> (forall i, ~~ V i -> 0 <= w i <= e) ->
  INR #|V| * (1 - dv) <= \sum_i w i <= INR #|V| + INR #|I| * e.
Proof.
move=> e0 own other; split.
  rewrite -(sum_const V (1 - dv)) [X in _ <= X](bigID V) /=.
  have A := @sum_le _ (index_enum I) V (fun=> 1 - dv) w (fun i Vi => (own i Vi).1).
  have B := @sum_ge0 _ (index_enum I) (fun i => ~~ V i) w (fun i Vi => (other i Vi).1).
  by move: A B; move: (\sum_(i | V i) w i) (\sum_(i | ~~ V i) w i) => u v; lra.
have -> : INR #|V| + INR #|I| * e = \sum_i ((if V i then 1 else 0) + e).
  by rewrite big_split /= -big_mkcond /= !sum_const Rmult_1_r; congr (_ + INR _ * _).
apply: sum_le => i _; case E: (V i); first by have := own i E; lra.
by have := other i (negbT E); lra.
Qed.

Section Commit.
Variables (S : spec) (C : consts) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Hypotheses (adm : admissible S C) (wi : within C P).
Variable h : stream coord tok.
Hypothesis before : after_recognize C h.
Notation T := (T S).
Notation tau := (tau S).
Notation nu := (nu S).
Notation tau3 := (tau_at (T_recognize C)).
Notation nu3 := (nu_at S (T_recognize C)).
Notation stray := (stray S C).
Notation w := (INR (n0 S)).
Notation hd := (commit_head S).

Let ex := recognize_flags before.
Let mm := not_too_many wi.
Let T_ge0 := T_ge0 adm.
Let tau0 := tau_ge0 S.
Let nu0 := nu_ge0 S.
Let tau30 := tau_at_ge0 (T_recognize C).
Let nu30 := nu_at_ge0 S (T_recognize C).

(* Consequences of the plateaus: what is of second order is small. *)
Lemma stray_small : stray <= 1 / 4.
Proof.
have := plateau adm; have := stray_ge0 S C; have := K_ge1 adm.
by move: (INR (K S)) stray => k s k1 s0 H; have : s <= k * s by [nra]; lra.
Qed.
Lemma nE : INR (n S) = w + 1. Proof. by rewrite S_INR. Qed.
Lemma w_ge1 : 1 <= w.
Proof. by rewrite -[1]/(INR 1); apply/le_INR/leP; apply: leq_ltn_trans (some_input adm). Qed.
Lemma tau_le3 : tau <= tau3.
Proof. by apply: exp_le; have [_ H] := cold_recognize adm; lra. Qed.
Lemma nu_le3 : nu <= nu3.
Proof.
apply: Rmult_le_compat_l; first exact: pos_INR.
by apply: exp_le; have [_ H] := cold_recognize adm; lra.
Qed.
Lemma two_tau : 2 * tau <= 1.
Proof.
have := stray_small; have := tau_le3; rewrite /statement.stray.
have : 0 <= (INR (n S) + 1) * nu3 by apply: Rmult_le_pos; have := n_ge1 S; lra.
by move: nu0; lra.
Qed.
Lemma n_nu : w * nu <= 1.
Proof.
have := stray_small; rewrite /statement.stray nE => H.
have A : w * nu <= w * nu3 by apply: Rmult_le_compat_l; [exact: pos_INR | exact: nu_le3].
by move: tau30 nu0 nu30; lra.
Qed.

Section Mass.
Variable mass : tok -> 'I_(K S) -> R.
Hypothesis code_mass : forall t a, h t (Z a) = \sum_i mass t i * code_of i a.
Hypothesis count_mass : forall t, h t Count = \sum_i mass t i.
Hypothesis mass_own : forall t i, recognized C t i -> 1 - (tau3 + nu3) <= mass t i <= 1.
Hypothesis mass_other : forall t i, ~~ recognized C t i -> 0 <= mass t i <= tau3 + nu3.
Hypothesis mass_away : forall t i, ~~ at_slot t i -> 0 <= mass t i <= nu3.

Lemma small3 : tau3 + nu3 <= 1.
Proof.
have := stray_small; rewrite /statement.stray nE.
have : 0 <= w * nu3 by apply: Rmult_le_pos; [exact: pos_INR | exact: nu30].
by move: nu0 nu30; lra.
Qed.
Lemma mass_ge0 t i : 0 <= mass t i.
Proof.
case: (boolP (recognized C t i)) => [/mass_own|/mass_other] []; last by [].
by have := small3; lra.
Qed.
Lemma mass_le1 t i : mass t i <= 1.
Proof.
case: (boolP (recognized C t i)) => [/mass_own|/mass_other] [] //.
by have := small3; lra.
Qed.

Let wrow : vec coord := delta (Inp : coord).
Let crow : vec coord := vsub (delta One) (delta (Lab : coord)).
Let hdE : qk hd = own_term wrow crow. Proof. by []. Qed.
Let wE t : dot wrow (h t) = b2R (is_inp t). Proof. by rewrite /wrow dot_delta (h_inp ex). Qed.
Let w_le t : dot wrow (h t) <= 1. Proof. by rewrite wE; case: (b2R_01 (is_inp t)). Qed.
Let w_bos : dot wrow (h BOS) = 0. Proof. by rewrite wE. Qed.
Let cE t : dot crow (h t) = 1 - b2R (is_lab t).
Proof. by rewrite /crow dotBl !dot_delta (h_one ex) (h_lab ex). Qed.

(* What a token holds of each task after the attention. *)
Notation a q k := (softmax (scores hd h q) k).
Definition gathered (q : tok) i := mass q i + \sum_k a q k * (w * mass k i).

Lemma a_ge0 (q k : tok) : 0 <= a q k. Proof. exact: softmax_ge0. Qed.
Lemma a_le1 (q k : tok) : a q k <= 1.
Proof.
rewrite -(softmax_sum1 (scores hd h q) k) (bigD1 k) //= -{1}[a q k]Rplus_0_r.
by apply: Rplus_le_compat_l; apply: sum_ge0 => j _; exact: a_ge0.
Qed.
Lemma term_ge0 (q k : tok) i : 0 <= a q k * (w * mass k i).
Proof.
apply: Rmult_le_pos; first exact: a_ge0.
by apply: Rmult_le_pos; [exact: pos_INR | exact: mass_ge0].
Qed.
Lemma gathered_ge (q : tok) i : mass q i <= gathered q i.
Proof.
rewrite /gathered -{1}[mass q i]Rplus_0_r.
by apply: Rplus_le_compat_l; apply: sum_ge0 => k _; exact: term_ge0.
Qed.

(* A label. *)
Section Label.
Variables (j : 'I_(examples P)) (i : 'I_(K S)).
Let q : tok := At (Some j) ord_max.
Definition inputs_of : pred tok := fun t =>
  if t is At (Some j') p then (j' == j) && (p != ord_max) else false.
Definition label_or_bos : pred tok :=
  fun t => if t is At g p then (g == Some j) && (p == ord_max) else true.

Lemma card_inputs : #|inputs_of| = n0 S.
Proof.
rewrite -[RHS](card_ord (n0 S)).
rewrite -(card_image (f := fun x : 'I_(n0 S) => At (Some j) (fintype.lift ord_max x) : tok));
  last first.
  by move=> x y [] H; apply: (@lift_inj _ ord_max); apply: val_inj.
apply: eq_card => t; apply/idP/imageP => [|[x _ ->]]; last first.
  by rewrite unfold_in /= eqxx /= eq_sym neq_lift.
case: t => [|[j'|] p] //; rewrite unfold_in /= => /andP [/eqP -> pm].
by case: (unliftP ord_max p) pm => [x -> _ | ->]; [exists x | rewrite eqxx].
Qed.
Lemma card_near : (#|[pred k : tok | ~~ inputs_of k & label_or_bos k]| <= 2)%N.
Proof.
apply: leq_trans (_ : #|[pred k | k \in [:: q; BOS]]| <= _)%N; last exact: card_size.
apply/subset_leq_card/subsetP => k; rewrite !inE => /andP [_].
by case: k => [_ | g p /andP [/eqP -> /eqP ->]]; rewrite ?eqxx ?orbT.
Qed.

Let act : dot crow (h q) = 0. Proof. by rewrite cE /= eqxx /=; ring. Qed.
Let win k : inputs_of k -> scores hd h q k = T * INR (ebits S) + T.
Proof.
by case: k => [|[j'|] p] // /andP [/eqP -> pm]; rewrite (active_in ex hdE act) wE /= pm /=; ring.
Qed.
Let near k : ~~ inputs_of k -> label_or_bos k -> scores hd h q k <= T * INR (ebits S) + T - T.
Proof.
case: k => [|g p] /= nk; first by rewrite (active_bos ex hdE w_bos act); lra.
by move=> /andP [/eqP -> /eqP ->]; rewrite (active_in ex hdE act) wE /= eqxx /=; lra.
Qed.
Let far k : ~~ inputs_of k -> ~~ label_or_bos k -> scores hd h q k <= T * INR (ebits S) + T - 2 * T.
Proof.
case: k => [|g p] //= nk nb; apply: (active_out mm T_ge0 ex hdE w_le act).
apply/negP => /eqP E; move: nk nb; rewrite -E /= eqxx /= negbK => ->.
by rewrite eqxx.
Qed.
Let n1 : (0 < #|inputs_of|)%N. Proof. by rewrite card_inputs; apply: leq_ltn_trans (some_input adm).
Qed.

Notation s := (\sum_(k | inputs_of k) mass k i).
Notation lost := (\sum_(k | ~~ inputs_of k) a q k).
Lemma lost_small : 0 <= lost <= 2 * tau + nu.
Proof.
split; first by apply: sum_ge0 => k _; exact: a_ge0.
apply: Rle_trans (losers_weight (nu_ge mm T) win near far n1 card_near) _; rewrite card_inputs.
have := w_ge1 => w1; have x0 : 0 <= INR 2 * tau_at T + nu by move: tau0 nu0;
  rewrite /= /statement.tau; lra.
apply: Rle_trans (_ : (INR 2 * tau_at T + nu) * 1 <= _); last by rewrite /= /statement.tau; lra.
by apply: Rmult_le_compat_l => //; rewrite -Rinv_1; apply: Rinv_le_contravar; lra.
Qed.
Lemma lost_le1 : lost <= 1.
Proof.
rewrite -(softmax_sum1 (scores hd h q) q) [X in _ <= X](bigID inputs_of) /= -{1}[lost]Rplus_0_l.
by apply: Rplus_le_compat_r; apply: sum_ge0 => k _; exact: a_ge0.
Qed.
Lemma from_inputs : \sum_(k | inputs_of k) a q k * (w * mass k i) = (1 - lost) * s.
Proof.
rewrite -sum_scale; apply: eq_bigr => k Wk; rewrite (winner_weight win n1 Wk) card_inputs.
by field; have := w_ge1; lra.
Qed.
Lemma from_near : \sum_(k | ~~ inputs_of k && label_or_bos k) a q k * (w * mass k i)
  <= 2 * tau * nu3.
Proof.
have w1 := w_ge1.
apply: Rle_trans (_ : \sum_(k | ~~ inputs_of k && label_or_bos k) a q k * (w * nu3) <= _).
  apply: sum_le => k /andP [_ nb]; apply: Rmult_le_compat_l; first exact: a_ge0.
  apply: Rmult_le_compat_l; first exact: pos_INR.
  apply: (mass_away _).2; case: k nb => [|g p] //= /andP [/eqP -> /eqP ->].
  exact: slots_hold_inputs adm i.
rewrite sum_scaler; have := near_weight win near n1 card_near; rewrite card_inputs => H.
apply: Rle_trans (Rmult_le_compat_r _ _ _ _ H) _; first by apply: Rmult_le_pos;
  [exact: pos_INR | exact: nu30].
by apply: Req_le; rewrite /= /statement.tau; field; lra.
Qed.
Lemma from_far : \sum_(k | ~~ inputs_of k && ~~ label_or_bos k) a q k * (w * mass k i) <= nu.
Proof.
have w1 := w_ge1.
apply: Rle_trans (_ : \sum_(k | ~~ inputs_of k && ~~ label_or_bos k) a q k * w <= _).
  apply: sum_le => k _; apply: Rmult_le_compat_l; first exact: a_ge0.
  by have := mass_le1 k i; have := mass_ge0 k i => ? ?; rewrite -{2}[w]Rmult_1_r;
    apply: Rmult_le_compat_l; lra.
rewrite sum_scaler; have := far_weight (nu_ge mm T) win far n1; rewrite card_inputs => H.
apply: Rle_trans (Rmult_le_compat_r _ _ _ (pos_INR _) H) _.
by apply: Req_le; rewrite /statement.nu; field; lra.
Qed.

(* Of the n - 1 inputs one is in the task's slot. *)
Let k0 : tok := At (Some j) (slot (task_of i)).
Let k0_in : inputs_of k0. Proof. by rewrite /= eqxx (slots_hold_inputs adm). Qed.
Lemma s_bounds : mass k0 i <= s <= mass k0 i + (w - 1) * nu3.
Proof.
rewrite (bigD1 k0) //=; split.
  rewrite -{1}[mass k0 i]Rplus_0_r; apply: Rplus_le_compat_l.
  by apply: sum_ge0 => k _; exact: mass_ge0.
apply: Rplus_le_compat_l.
apply: Rle_trans (_ : \sum_(k | inputs_of k && (k != k0)) nu3 <= _).
  apply: sum_le => k /andP [Wk kk]; apply: (mass_away _).2.
  case: k Wk kk => [|[j'|] p] //= /andP [/eqP -> _]; apply: contra => /eqP E.
  by rewrite /k0 E.
rewrite sum_const; apply: Rmult_le_compat_r => //.
have E : (n0 S = 1 + #|[pred k | inputs_of k & k != k0]|)%N.
  rewrite -card_inputs (cardD1 k0) (_ : (k0 \in inputs_of) = true) //; congr (_ + _)%N.
  by apply: eq_card => k; rewrite !inE andbC.
have E' := congr1 INR E; rewrite plus_INR in E'.
have aux x : w = INR 1 + x -> x <= w - 1 by rewrite /=; lra.
exact: aux E'.
Qed.

Lemma label_split : gathered q i = mass q i + ((1 - lost) * s +
  (\sum_(k | ~~ inputs_of k && label_or_bos k) a q k * (w * mass k i) +
   \sum_(k | ~~ inputs_of k && ~~ label_or_bos k) a q k * (w * mass k i))).
Proof.
rewrite /gathered (bigID inputs_of) /= from_inputs; congr (_ + (_ + _)).
exact: bigID label_or_bos _ _.
Qed.
Let own_nu : 0 <= mass q i <= nu3.
Proof. by apply: mass_away => /=; rewrite (slots_hold_inputs adm). Qed.
Let near0 : 0 <= \sum_(k | ~~ inputs_of k && label_or_bos k) a q k * (w * mass k i).
Proof. by apply: sum_ge0 => k _; exact: term_ge0. Qed.
Let far0 : 0 <= \sum_(k | ~~ inputs_of k && ~~ label_or_bos k) a q k * (w * mass k i).
Proof. by apply: sum_ge0 => k _; exact: term_ge0. Qed.

Lemma label_upper : gathered q i <= mass k0 i + (w + 1) * nu3 + nu.
Proof.
rewrite label_split; have := from_near; have := from_far; have := s_bounds; have := own_nu.
have := lost_small; have := lost_le1; have := two_tau; have := mass_ge0 k0 i; have := nu30;
  have := tau0.
move: (mass q i) (mass k0 i) lost (\sum_(k | _ && label_or_bos k) _) (\sum_(k | _ && ~~ _) _) s.
move: w tau nu nu3 => wn tu nn n3 m1 m2 lo x y sm t0 n30 m20 tt l1 l2 m10 sb fa ne.
have : 2 * tu * n3 <= 1 * n3 by apply: Rmult_le_compat_r; lra.
have : (1 - lo) * sm <= 1 * sm by apply: Rmult_le_compat_r; lra.
lra.
Qed.
Lemma label_lower : mass k0 i - (2 * tau + nu) <= gathered q i.
Proof.
rewrite label_split; have := near0; have := far0; have := s_bounds; have := own_nu.
have := lost_small; have := lost_le1; have := mass_ge0 k0 i; have := mass_le1 k0 i.
move: (mass q i) (mass k0 i) lost (\sum_(k | _ && label_or_bos k) _) (\sum_(k | _ && ~~ _) _) s.
move: w tau nu nu3 => wn tu nn n3 m1 m2 lo x y sm m21 m20 l1 l2 m10 sb fa ne.
have : (1 - lo) * m2 <= (1 - lo) * sm by apply: Rmult_le_compat_l; lra.
have : lo * m2 <= lo * 1 by apply: Rmult_le_compat_l; lra.
lra.
Qed.
End Label.

(* Everybody else. *)
Lemma idle_upper (q : tok) i : ~~ is_lab q -> gathered q i <= mass q i + (w + 1) * nu3 + nu.
Proof.
move=> nl; rewrite /gathered Rplus_assoc; apply: Rplus_le_compat_l.
have w1 := w_ge1; have c1 : 1 <= dot crow (h q) by rewrite cE (negbTE nl) /=; lra.
have behind k : k != BOS -> a q k <= exp (- (2 * T)).
  move=> kn; rewrite -[exp _]Rdiv_1 -[1]/(INR 1) -(card1 (BOS : tok)).
  apply: (@softmax_behind _ _ (scores hd h q BOS)); first by move=> k' /eqP ->.
    by rewrite card1.
  exact: (idle_gap mm T_ge0 ex hdE w_le w_bos c1 kn).
rewrite (bigD1 BOS) //=.
have A : a q BOS * (w * mass BOS i) <= w * nu3.
  have := (mass_away (t := BOS) (i := i) isT); have := mass_ge0 BOS i => m0 [_ m1].
  apply: Rle_trans (_ : 1 * (w * mass BOS i) <= _); last first.
    by rewrite Rmult_1_l; apply: Rmult_le_compat_l => //; lra.
  apply: Rmult_le_compat_r; last exact: a_le1.
  by apply: Rmult_le_pos => //; lra.
have B : \sum_(k | k != BOS) a q k * (w * mass k i) <= nu + nu3; last first.
  by apply: Rle_trans (Rplus_le_compat _ _ _ _ A B) _; lra.
have E0 : 0 <= exp (- (2 * T)) by exact/Rlt_le/exp_pos.
apply: Rle_trans (_ : \sum_k exp (- (2 * T)) * w * (b2R (at_slot k i) + nu3) <= _).
  apply: Rle_trans (_ : \sum_(k | k != BOS) exp (- (2 * T)) * w * (b2R (at_slot k i) + nu3) <= _).
    apply: sum_le => k kn; rewrite Rmult_assoc.
    have mk : mass k i <= b2R (at_slot k i) + nu3.
      case: (boolP (at_slot k i)) => sl; first by have := mass_le1 k i; rewrite /=; move: nu30; lra.
      by have := mass_away sl; rewrite /=; lra.
    have wm : 0 <= w * mass k i by apply: Rmult_le_pos; [lra | exact: mass_ge0].
    apply: Rle_trans (_ : exp (- (2 * T)) * (w * mass k i) <= _).
      by apply: Rmult_le_compat_r => //; exact: behind.
    by apply: Rmult_le_compat_l => //; apply: Rmult_le_compat_l; lra.
  apply: (@sum_sub_le _ (fun k => k != BOS) xpredT) => // k.
  apply: Rmult_le_pos; first by apply: Rmult_le_pos; lra.
  by have := b2R_01 (at_slot k i); move: nu30; lra.
rewrite sum_scale big_split /= (sum_const xpredT nu3).
have -> : \sum_(k : tok) b2R (at_slot k i) = INR (examples P).
  rewrite /b2R -big_mkcond /= sum_const Rmult_1_r; congr INR.
  rewrite -[RHS](card_ord (examples P))
    -(card_image (f := fun j => At (Some j) (slot (task_of i)) : tok)).
    apply: eq_card => k; apply/idP/imageP => [|[j _ ->]]; last by rewrite unfold_in /= eqxx.
    by case: k => [|[j|] p] //; rewrite unfold_in /= => /eqP <-; exists j.
  by move=> j j' [].
have toks : INR (examples P) * w <= INR (tokens S).
  rewrite -mult_INR; apply/le_INR/leP; rewrite /tokens.
  by apply: leq_trans (leq_addl _ _); apply: leq_mul; [apply: leqW; exact: mm | exact: leqnSn].
have N1 : exp (- (2 * T)) * w * INR (examples P) <= nu.
  rewrite (_ : exp (- (2 * T)) * w * INR (examples P) = INR (examples P) * w * exp (- (2 * T)));
    last by ring.
  exact: Rmult_le_compat_r.
have N2 : exp (- (2 * T)) * w * (INR #|tok| * nu3) <= nu3.
  rewrite (_ : exp (- (2 * T)) * w * (INR #|tok| * nu3) = w * (INR #|tok| * exp (- (2 * T))) * nu3);
    last by ring.
  rewrite -{2}[nu3]Rmult_1_l; apply: Rmult_le_compat_r => //; apply: Rle_trans n_nu.
  by apply: Rmult_le_compat_l; [lra | exact: nu_ge mm T].
rewrite (_ : #|(fun=> true)| = #|tok|) // in N2 *; lra.
Qed.

Lemma gathered_own (q : tok) i : verdict C q i ->
  1 - (2 * tau + stray) <= gathered q i <= 1 + stray.
Proof.
have w1 := w_ge1.
have st : tau3 + nu3 + nu <= stray /\ (w + 1) * nu3 + nu <= stray.
  rewrite /statement.stray nE; have : 0 <= w * nu3 by apply: Rmult_le_pos; lra.
  by move: tau30 nu30; lra.
case: q => [|[j|] p] //= /andP [exp_]; case: (eqVneq p ord_max) => [-> _ | pm /=].
  have rec : recognized C (At (Some j) (slot (task_of i)) : tok) i by rewrite /= exp_ eqxx.
  have := label_upper j i; have := label_lower j i; have := mass_own rec; move: st.
  by move: (gathered _ _) (mass _ _) => u v; lra.
move=> sl; have rec : recognized C (At (Some j) p : tok) i by rewrite /= exp_ sl.
have nl : ~~ is_lab (At (Some j) p : tok) by [].
have := idle_upper i nl; have := gathered_ge (At (Some j) p) i; have := mass_own rec; move: st tau0.
by move: (gathered _ _) (mass _ _) => u v; lra.
Qed.
Lemma gathered_other (q : tok) i : ~~ verdict C q i -> 0 <= gathered q i <= stray.
Proof.
have w1 := w_ge1; move=> no; split; first by exact: Rle_trans (mass_ge0 q i) (gathered_ge q i).
have st : tau3 + nu3 + (w + 1) * nu3 + nu = stray by rewrite /statement.stray nE; ring.
case: (boolP (is_lab q)) => [lab | nl].
  case: q lab no => [|[j|] p] //= /eqP -> no.
  have rec : ~~ recognized C (At (Some j) (slot (task_of i)) : tok) i.
    by move: no; rewrite /= !eqxx !andbT.
  have := label_upper j i; have := mass_other rec.
  by move: (gathered _ _) (mass _ _) => u v; lra.
have rec : ~~ recognized C q i.
  case: q no nl => [|[j|] p] //=; rewrite !negb_and => /orP [-> // | no] nl.
  by move: no; rewrite (negbTE nl) /= => ->; rewrite orbT.
have := idle_upper i nl; have := mass_other rec.
by move: (gathered _ _) (mass _ _) => u v; lra.
Qed.

(* What the layer writes. *)
Notation mid := (attend (commit_layer S) h).
Notation h' := (run_layer (commit_layer S) h).
Lemma mid_other q (c : coord) : (forall x, c != verdict_at S x) -> mid q c = h q c.
Proof.
by move=> no; rewrite /attend sum_first ?(some_task adm) // attention_other // Rplus_0_r.
Qed.
Lemma commit_other q (c : coord) : c != Ok -> h' q c = mid q c.
Proof.
move=> no; rewrite /run_layer (_ : apply _ _ c = 0) ?Rplus_0_r //.
apply: big1 => k _; rewrite /= /delta (negbTE no); ring.
Qed.
Lemma mid_code q b : mid q (Z b) = \sum_i gathered q i * code_of i b.
Proof.
rewrite /attend sum_first ?(some_task adm) // code_mass.
have -> : \sum_i gathered q i * code_of i b = \sum_i mass q i * code_of i b +
    \sum_i \sum_k a q k * (w * mass k i) * code_of i b.
  rewrite -big_split; apply: eq_bigr => i _ /=.
  by rewrite /gathered Rmult_plus_distr_r -sum_scaler.
congr (_ + _).
rewrite exchange_big /=; apply: eq_bigr => k _.
rewrite -[Z b]/(verdict_at S (inl b)) (apply_writes _ _ (@verdict_inj S)) /apply /= dotZl dot_delta
  code_mass.
by rewrite -!sum_scale; apply: eq_bigr => i _; ring.
Qed.
Lemma mid_count q : mid q Count = \sum_i gathered q i.
Proof.
rewrite /attend sum_first ?(some_task adm) // count_mass big_split /=; congr (_ + _).
rewrite exchange_big /=; apply: eq_bigr => k _.
rewrite -[Count]/(verdict_at S (inr tt)) (apply_writes _ _ (@verdict_inj S)) /apply /= dotZl
  dot_delta count_mass.
by rewrite -!sum_scale.
Qed.
Lemma commit_trapezoid q : h' q Ok = trapezoid (\sum_i gathered q i).
Proof.
rewrite /run_layer mid_other ?(recognize_ok before) ?Rplus_0_l; last by case.
rewrite /apply /dot /=; set c := \sum_i gathered q i.
have E k : relu (fun k => \sum_j vsub (delta Count) (vscale (corner k) (delta (One : coord))) j *
  mid q j) k
  = Rmax (c - corner k) 0.
  rewrite /relu -/(dot _ _) dotBl dotZl !dot_delta mid_count mid_other ?(h_one ex) ?Rmult_1_r //;
    last by case.
rewrite (eq_bigr (fun k => slope k * Rmax (c - corner k) 0)); last first.
  by move=> k _; rewrite E /delta eqxx; ring.
rewrite !big_ord_recl big_ord0 /trapezoid /slope /corner /=; ring.
Qed.

Lemma ok_exact q : trapezoid (\sum_i gathered q i) = b2R (committed C q).
Proof.
have s0 := stray_ge0 S C.
have [lo hi] := count_bounds s0 (@gathered_own q) (@gathered_other q); move: lo hi.
rewrite card_ord /committed; set c := \sum_i _; set v := #|_|.
have pl := plateau adm; have top := plateau_top adm; have K1 := some_task adm.
have vK : (v <= K S)%N by rewrite -[X in (_ <= X)%N]card_ord; exact: max_card.
case: v vK => [|[|v]] vK lo hi /=.
- by apply: trapezoid_low; move: hi => /=; lra.
- apply: trapezoid_one; move: lo hi => /= lo hi.
  have : 1 * (2 * tau + stray) <= INR (minn (K S) 2) * (2 * tau + stray).
    apply: Rmult_le_compat_r; first by move: tau0; lra.
    by rewrite -[1]/(INR 1); apply/le_INR/leP; rewrite leq_min K1.
  lra.
- apply: trapezoid_high; move: top; rewrite (minn_idPr _); last exact: leq_trans vK.
  rewrite [INR 2]/= => top.
  have v2 : 2 <= INR v.+2 by rewrite -[2]/(INR 2); apply/le_INR/leP.
  have : 2 * (1 - (2 * tau + stray)) <= INR v.+2 * (1 - (2 * tau + stray)).
    by apply: Rmult_le_compat_r; lra.
  lra.
Qed.
End Mass.

Theorem commit_lemma : after_commit C (run_layer (commit_layer S) h).
Proof.
have [mass [zm [cm [mo [mn ma]]]]] := recognize_z before.
set h' := run_layer _ _.
have keep (c : coord) t : c != Ok -> (forall x, c != verdict_at S x) -> h' t c = h t c.
  by move=> no nv; rewrite /h' commit_other // mid_other.
have keep_f t : part fcoord h' t = part fcoord h t.
  apply: functional_extensionality => l.
  by apply: keep => [|x]; rewrite eq_sym; apply: not_feature => //; case: x.
have keep_y t : part Y h' t = part Y h t by apply: functional_extensionality => l;
  apply: keep => //; case.
split.
- by apply: keep_flags ex => t c fl; apply: keep; [|case=> ?]; apply: contraL fl => /eqP ->.
- by move=> t; rewrite keep_f; exact: recognize_f before t.
- by move=> t ni; rewrite keep_f; exact: (recognize_f_rest before ni).
- by rewrite keep_f; exact: (recognize_f_bos before).
- by move=> t; rewrite keep_y; exact: recognize_y before t.
- by move=> t nt; rewrite keep_y; exact: recognize_y_rest before t nt.
- by rewrite keep_y; exact: (recognize_y_bos before).
- exists (gathered mass); split; [|split].
  + by move=> t a; rewrite /h' commit_other //; exact: mid_code.
  + by move=> t i; exact: gathered_own.
  + by move=> t i; exact: gathered_other.
- by move=> t; rewrite /h' (commit_trapezoid cm); exact: ok_exact.
Qed.
End Commit.
