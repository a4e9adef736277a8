(* Layer 7, Superpose: the answer token averages y over the committed labels. Lemma 7.

   In words: let the stream be as Execute leaves it. Then the answer token ends with
   sum_i (m_i / M) g_i(X_query), or with 0 if M = 0, up to `leak` in every coordinate: the error of
   a committed label's y; the answer token's own y, left by layers 2 and 6, and what is read from
   BOS (idle_y each); and the weight of the losers, tau + 2 nu, times the longest y.
   ok is exactly 1 at the M labels that count, so they tie and the head takes their even mean; label
   by label it is a mean of outputs, and the outputs of task i are as many as the examples that it
   explains alone. Needs T >= 0. *)
From Theorem1 Require Import sums selection transformer stream prompt signs stages.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* The mean of short vectors is short. *)
Lemma mean_norm (K I : finType) (W : pred K) (v : K -> vec I) B : (0 < #|W|)%N ->
  (forall k, W k -> norm (v k) <= B) -> norm (winners_mean W v) <= B.
Proof.
move=> W0 H; have w0 : 0 < INR #|W| by apply/lt_0_INR/ltP.
rewrite /winners_mean (_ : (fun i => _) = fun i => \sum_(k | W k) / INR #|W| * v k i); last first.
  by apply: functional_extensionality => i; rewrite -sum_scale.
apply: Rle_trans (norm_sum _ _ _ _) _.
apply: Rle_trans (_ : \sum_(k | W k) / INR #|W| * B <= _).
  have p := Rlt_le _ _ (Rinv_0_lt_compat _ w0).
  by apply: sum_le => k Wk; rewrite Rabs_pos_eq //; apply: Rmult_le_compat_l => //; exact: H.
by rewrite sum_const; apply: Req_le; field; lra.
Qed.
Lemma mean_sub (K I : finType) (W : pred K) (u v : K -> vec I) :
  vsub (winners_mean W u) (winners_mean W v) = winners_mean W (fun k => vsub (u k) (v k)).
Proof.
apply: functional_extensionality => i; rewrite /vsub /winners_mean sum_sub.
by rewrite Rmult_minus_distr_l.
Qed.

(* The errors are not negative. *)
Lemma executed_ge0 (S : spec) (C : consts) : admissible S C -> 0 <= executed S C.
Proof.
move=> adm; have K0 := pos_INR (K S); have w0 := weight_norm_ge0 adm; have R0 := radius_ge0 adm.
have [[ef eb] ey] := (E_f_ge0 adm, E_f_bos_ge0 adm, E_y_ge0 adm); have er := E_f_rest_ge0 adm.
have t0 : 0 <= tau_gate C := tau_at_ge0 _; have n0 : 0 <= nu_gate S C := nu_at_ge0 S _.
have s0 : 0 <= shut_gate S C := Rplus_le_le_0_compat _ _ (tau_at_ge0 _) (nu_at_ge0 S _).
have m0 : 0 <= misplaced S C by have := Rmult_le_pos _ _ K0 s0; rewrite /misplaced; lra.
have fn := Rmult_le_pos _ _ (feature_norm_ge0 adm) (input_radius_ge0 adm).
have l0 : 0 <= longest_feature S C.
  by have := feature_bias_norm_ge0 adm; rewrite /longest_feature; lra.
have ml := Rmult_le_pos _ _ m0 l0; have Keb := Rmult_le_pos _ _ K0 eb.
have f0 : 0 <= fetched S C by rewrite /fetched; lra.
have sl := Rmult_le_pos _ _ s0 l0.
have fb0 : 0 <= fetched_bos S C.
  have : 0 <= INR (K S) * (E_f_bos S C + shut_gate S C * longest_feature S C); last first.
    by rewrite /fetched_bos; lra.
  by apply: Rmult_le_pos => //; lra.
have wf := Rmult_le_pos _ _ w0 f0; have wfb := Rmult_le_pos _ _ w0 fb0.
have v0 : 0 <= longest_value S C by have := bias_norm_ge0 adm; rewrite /longest_value; lra.
have vb0 : 0 <= value_bos S C by have := Rnu_bos_ge0 adm; rewrite /value_bos; lra.
have := Rmult_le_pos _ _ m0 (Rplus_le_le_0_compat _ _ v0 vb0).
by have := Rmult_le_pos _ _ K0 vb0; rewrite /executed; lra.
Qed.

Section Superpose.
Variables (S : spec) (C : consts) (P : prompt S).
Hypotheses (adm : admissible S C) (wi : within C P).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation y h t := (part (@Y S) h t).
Notation rho := (tolerance C).
Variable h : stream coord tok.
Hypothesis st : after_execute C h.
Let ex := execute_flags st.
Let mm := not_too_many wi.
Let T0 : 0 <= T S := T_ge0 adm.

(* The labels that count, and what they should hold. *)
Definition counts (t : tok) : bool := committed C t && is_lab t.
Definition due (t : tok) : vec 'I_(dim S) := fun a => \sum_(i | verdict C t i) perform P i None a.
Definition label_of (j : 'I_(examples P)) : tok := At (Some j) ord_max.
Let M := #|counts|.

Lemma label_verdict j i : verdict C (label_of j) i = explains P rho i j.
Proof. by rewrite /= eqxx andbT. Qed.

Lemma share_card i : #|[pred t | counts t & verdict C t i]| = share P rho i.
Proof.
rewrite /share -(card_image (f := label_of)); last by move=> a b [].
apply: eq_card => t; apply/idP/imageP => [|[j]]; last first.
  rewrite inE => /andP [ei /forallP only] ->.
  rewrite inE /counts label_verdict ei !andbT /= eqxx andbT.
  apply/card1P; exists i => k; rewrite !inE /in_mem /=.
  rewrite -[LHS]/(verdict C (label_of j) k) label_verdict.
  by apply/idP/eqP => [ek | -> //]; apply/eqP; have := only k; rewrite ek.
rewrite inE => /andP [/andP [ct lt] vi].
case: t lt ct vi => [|[j|] p] //= /eqP -> ct vi; exists j => //.
have ei : explains P rho i j by rewrite -label_verdict.
rewrite inE ei /=; apply/forallP => k; apply/implyP => ek; move: ct => /card1P [i0 only].
have vE l : verdict C (label_of j) l = (l == i0) := only l.
by move: ei ek; rewrite -!label_verdict !vE => /eqP -> /eqP ->.
Qed.

(* Sums over the labels that count, regrouped by task. *)
Lemma regroup (g : 'I_(K S) -> R) :
  \sum_(t | counts t) \sum_(i | verdict C t i) g i = \sum_i INR (share P rho i) * g i.
Proof.
rewrite (exchange_big_dep xpredT) //=; apply: eq_bigr => i _.
by rewrite -share_card -sum_const.
Qed.

Lemma counted t : counts t -> exists2 i, verdict C t i & forall k, verdict C t k = (k == i).
Proof.
move=> /andP [/card1P [i only] _]; have vE k : verdict C t k = (k == i) := only k.
by exists i => //; rewrite vE.
Qed.

Lemma total_card : total P rho = INR M.
Proof.
rewrite /total (eq_bigr (fun i => INR (share P rho i) * 1)); last by move=> i _; rewrite Rmult_1_r.
rewrite -(regroup (fun=> 1)) (eq_bigr (fun=> 1)); first by rewrite sum_const Rmult_1_r.
by move=> t /counted [i _ vE]; rewrite (eq_bigl _ _ vE) big_pred1_eq.
Qed.

Lemma superposition_mean : (0 < M)%N -> superposition P rho = winners_mean counts due.
Proof.
move=> M0; have m0 : 0 < INR M by apply/lt_0_INR/ltP.
apply: functional_extensionality => a; rewrite /superposition /winners_mean total_card -/M.
case: (Req_EM_T (INR M) 0) => [z | nz]; first lra.
rewrite /due (regroup (fun i => perform P i None a)) -sum_scale.
by apply: eq_bigr => i _; rewrite /Rdiv; ring.
Qed.

(* The scores. *)
Lemma superpose_score k : scores (superpose_head S) h (answer P) k =
  3 * T S * (b2R (committed C k) - b2R (is_inp k) - (1 - b2R (is_bos k))) - T S * b2R (is_bos k).
Proof.
rewrite /scores /superpose_head score_tcat !score_row !(dotBl, dotZl, dotDl) !dot_delta.
rewrite !(h_one ex) !(h_bos ex) !(h_inp ex) !(h_qry ex) (execute_ok st) /= eqxx /=; lra.
Qed.

Lemma score_counts k : counts k -> scores (superpose_head S) h (answer P) k = 0.
Proof.
move=> /andP [ck lk]; rewrite superpose_score ck.
by case: k lk {ck} => [|[j|] p] //= ->; rewrite /=; lra.
Qed.
Lemma committed_bos : committed C (BOS : tok) = false.
Proof. by rewrite /committed eq_card0. Qed.
Lemma score_bos : scores (superpose_head S) h (answer P) BOS = - T S.
Proof. by rewrite superpose_score committed_bos /=; lra. Qed.
Lemma score_rest k : ~~ counts k -> k != BOS ->
  scores (superpose_head S) h (answer P) k <= - (3 * T S).
Proof.
move=> nc kb; rewrite superpose_score; have -> : b2R (is_bos k) = 0 by case: k kb {nc}.
suff : b2R (committed C k) - b2R (is_inp k) <= 0 by have := T0; nra.
case ck : (committed C k); last by have := b2R_01 (is_inp k); rewrite /=; lra.
have lk : ~~ is_lab k by move: nc; rewrite /counts ck.
suff -> : is_inp k by rewrite /=; lra.
move: ck lk {nc}; case: k kb => [|[j|] p] //= _; by rewrite /committed eq_card0.
Qed.

(* How long y is. *)
Let V := radius C + E_y S C + executed S C + idle_y S C.
Let idle0 : 0 <= idle_y S C. Proof. exact: Rle_trans (norm_ge0 _) (execute_y_bos st). Qed.
Lemma due_near t : counts t -> norm (vsub (y h t) (due t)) <= executed S C.
Proof.
move=> ct; have [i vi vE] := counted ct.
have -> : due t = perform P i None.
  by apply: functional_extensionality => a; rewrite /due (eq_bigl _ _ vE) big_pred1_eq.
move/andP: ct => [ct lt]; case: t lt ct vi {vE} => [|[j|] p] //= /eqP -> ct vi.
exact: execute_y st _ _ ct vi.
Qed.
Lemma due_norm t : counts t -> norm (due t) <= radius C.
Proof.
move=> ct; have [i vi vE] := counted ct.
have -> : due t = perform P i None.
  by apply: functional_extensionality => a; rewrite /due (eq_bigl _ _ vE) big_pred1_eq.
exact: (outputs_bounded wi i None (slots_hold_inputs adm i)).
Qed.
Lemma y_le t : norm (y h t) <= V.
Proof.
have [[R0 Ey0] ex0] := (radius_ge0 adm, E_y_ge0 adm, executed_ge0 adm).
rewrite /V; case ct : (counts t); last first.
  by have := execute_y_rest st (negbT ct); lra.
by apply: Rle_trans (norm_near (due_near ct) (due_norm ct)) _; lra.
Qed.

Let h' := run_layer (superpose_layer S) h.
Let out := head_output (scores (superpose_head S) h (answer P)) (fun k => y h k).
Lemma superpose_y : y h' (answer P) = vadd (y h (answer P)) out.
Proof.
apply: functional_extensionality => a; rewrite /part /h' /superpose_layer run_heads /vadd.
rewrite sum_first ?(some_task adm) //; congr (_ + _).
by rewrite /superpose_head attention_copy //; exact: Y_inj.
Qed.

Let many := nu_ge mm (T S).
Let tau0 : 0 <= tau S := tau_ge0 S.
Let nu0 : 0 <= nu S := nu_ge0 S.
Let tau1 : tau S <= 1.
Proof.
rewrite /tau /tau_at -exp_0; case: T0 => [H | <-]; last by rewrite Ropp_0; lra.
by apply/Rlt_le/exp_increasing; lra.
Qed.
Let V0 : 0 <= V. Proof. exact: Rle_trans (norm_ge0 _) (y_le BOS). Qed.

Lemma superpose_some : (0 < M)%N ->
  norm (vsub out (winners_mean counts (fun k => y h k))) <=
  tau S * (V + idle_y S C) + nu S * (2 * V).
Proof.
move=> M0; have mn : norm (winners_mean counts (fun k => y h k)) <= V.
  by apply: mean_norm => // k _; exact: y_le.
have w1 : 1 <= INR M by rewrite -[1]/(INR 1); apply/le_INR/leP.
apply: Rle_trans (_ : INR 1 * tau S / INR M * (V + idle_y S C) + nu S / INR M * (2 * V) <= _).
  apply: (@selection2 tok _ 0 (T S) (nu S) counts (pred1 BOS) 1).
  - exact: many.
  - exact: score_counts.
  - by move=> k nc /eqP ->; rewrite score_bos; lra.
  - by move=> k nc kn; apply: Rle_trans (score_rest nc kn) _; have := T0; lra.
  - exact: M0.
  - by rewrite -(card1 (BOS : tok)); apply/subset_leq_card/subsetP => k; rewrite !inE => /andP [].
  - move=> k nc /eqP ->; apply: Rle_trans (norm_sub_le _ _) _.
    by have := execute_y_bos st; lra.
  - by move=> k nc kn; apply: Rle_trans (norm_sub_le _ _) _; have := y_le k; lra.
  - by have := V0; have := idle0; lra.
  - by have := V0; lra.
have i1 : / INR M <= 1 by rewrite -Rinv_1; apply: Rinv_le_contravar; lra.
have shrink x : 0 <= x -> x / INR M <= x.
  by move=> x0; rewrite /Rdiv -{2}[x]Rmult_1_r; apply: Rmult_le_compat_l.
rewrite /= Rmult_1_l; apply: Rplus_le_compat; apply: Rmult_le_compat_r; try exact: shrink.
- by have := V0; have := idle0; lra.
- by have := V0; lra.
Qed.

Lemma superpose_none : M = 0%N -> norm out <= idle_y S C + nu S * (V + idle_y S C).
Proof.
move=> M0; have none k : ~~ counts k by apply/negbT; exact: (card0_eq M0 k).
have -> : out = vadd (y h BOS) (vsub out (y h BOS)).
  by apply: functional_extensionality => i; rewrite /vsub /vadd; lra.
apply: Rle_trans (norm_triangle _ _) _; apply: Rplus_le_compat; first exact: execute_y_bos.
apply: (@selection0 tok _ (T S) (nu S) BOS).
- exact: many.
- by move=> k kb; rewrite score_bos; apply: Rle_trans (score_rest (none k) kb) _; have := T0; lra.
- move=> k kb; apply: Rle_trans (norm_sub_le _ _) _; have := y_le k; have := execute_y_bos st; lra.
- by have := V0; have := idle0; lra.
Qed.

Theorem superpose_after :
  norm (vsub (y h' (answer P)) (superposition P rho)) <= leak S C.
Proof.
have own := execute_y_answer st; rewrite superpose_y; have [v0 i0] := (V0, idle0).
have ti : tau S * idle_y S C <= idle_y S C.
  by rewrite -[X in _ <= X]Rmult_1_l; apply: Rmult_le_compat_r.
have [[R0 Ey0] ex0] := (radius_ge0 adm, E_y_ge0 adm, executed_ge0 adm).
have iV : idle_y S C <= V by rewrite /V; lra.
have nV : nu S * idle_y S C <= nu S * V by apply: Rmult_le_compat_l.
have nV0 : 0 <= nu S * V by apply: Rmult_le_pos.
have tV0 : 0 <= tau S * V by apply: Rmult_le_pos.
rewrite /leak -/V; case: (posnP M) => [M0 | M0].
  have -> : superposition P rho = vzero.
    apply: functional_extensionality => a; rewrite /superposition total_card M0.
    by case: (Req_EM_T (INR 0) 0).
  rewrite (_ : vsub _ vzero = vadd (y h (answer P)) out); last first.
    by apply: functional_extensionality => a; rewrite /vsub /vzero; lra.
  by apply: Rle_trans (norm_triangle _ _) _; have := superpose_none M0; lra.
rewrite (superposition_mean M0); set my := winners_mean counts (fun k => y h k).
have -> : vsub (vadd (y h (answer P)) out) (winners_mean counts due) =
          vadd (y h (answer P)) (vadd (vsub out my) (vsub my (winners_mean counts due))).
  by apply: functional_extensionality => a; rewrite /vsub /vadd; lra.
apply: Rle_trans (norm_triangle _ _) _.
have := norm_triangle (vsub out my) (vsub my (winners_mean counts due)).
have : norm (vsub my (winners_mean counts due)) <= executed S C.
  by rewrite mean_sub; apply: mean_norm => // k; exact: due_near.
by have := superpose_some M0; rewrite -/my; lra.
Qed.
End Superpose.

(* Lemma 7. *)
Theorem superpose_lemma (S : spec) (C : consts) (P : prompt S) : admissible S C -> within C P ->
  forall h : stream (coord_finType S) (tok_finType P), after_execute C h ->
  forall a, Rabs (run_layer (superpose_layer S) h (answer P) (Y a)
                  - superposition P (tolerance C) a) <= leak S C.
Proof.
move=> adm wi h st a.
exact: Rle_trans (norm_coord _ a) (superpose_after adm wi st).
Qed.
