(* Layer 5, Fetch: a label committed to task i reads the query's features from slot p_i. Lemma 5.

   In words: let the stream be as Commit leaves it. Then after Fetch a label that committed to task
   i holds phi(x_{p_i}) of the query in f, up to `fetched`: its own old f and the query's (E_f
   each), what K idle heads read from BOS, and the misplaced weight times the longest feature. The
   f of every other token moves by at most K (what BOS holds + nu times the longest feature), BOS'
   own included. No other coordinate moves. BOS is no exact sink: Lift leaked E_f_bos into it. *)
From Theorem1 Require Import sums selection transformer stream prompt signs stages.
From Theorem1 Require Import codes longest_sum gate.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Lemma norm_relu (I : finType) (v : vec I) : norm (relu v) <= norm v.
Proof.
apply: norm_le_coord => i; rewrite /relu /Rmax; case: Rle_dec => v0; last lra.
by rewrite Rabs_R0; exact: Rabs_pos.
Qed.

Lemma feature_norm_le (S : spec) (C : consts) (x : vec 'I_(dim S)) : admissible S C ->
  norm x <= input_radius C ->
  norm (feature (phi S) x) <= feature_norm C * input_radius C + feature_bias_norm C.
Proof.
move=> adm xX; have [X0 fn0] := (input_radius_ge0 adm, feature_norm_ge0 adm).
have fb0 := feature_bias_norm_ge0 adm.
move: (features_bounded adm); case: (phi S) => [| r B c] /=.
  by move=> fn1; have := Rmult_le_compat_r _ _ _ X0 fn1; lra.
move=> [Bx cb]; apply: Rle_trans (norm_relu _) _; apply: Rle_trans (norm_triangle _ _) _.
have := Rmult_le_compat_l _ _ _ fn0 xX; have := Bx x; lra.
Qed.

Section Fetch.
Variables (S : spec) (C : consts) (P : prompt S).
Hypotheses (adm : admissible S C) (wi : within C P).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation L := (INR (ebits S) + INR (sbits S)).
Notation f h t := (part (@fcoord S) h t).
Variable h : stream coord tok.
Hypothesis st : after_commit C h.
Let ex := commit_flags st.
Let mm := not_too_many wi.
Let Tg_le : 0 <= T_gate C <= T S := cold_gate adm.
Variable mass : tok -> 'I_(K S) -> R.
Hypothesis z_mass : forall t a, h t (Z a) = \sum_i mass t i * code_of i a.
Hypothesis mass_yes : forall t i, verdict C t i ->
  1 - (2 * tau S + stray S C) <= mass t i <= 1 + stray S C.
Hypothesis mass_no : forall t i, ~~ verdict C t i -> 0 <= mass t i <= stray S C.

(* Head i wants the query's token in slot p_i: it scores 0, all other tokens but BOS at most -2T. *)
Definition query_token (i : 'I_(K S)) : tok := At None (slot (task_of i)).
Definition place_at (i : 'I_(K S)) (k : tok) : R :=
  same_example h (query_token i) k + same_slot h (query_token i) k - L * (1 - b2R (is_bos k)).

Lemma fetch_score i q k :
  scores (fetch_head i) h q k = T S * place_at i k + gate_at C mass i q * b2R (is_bos k).
Proof.
rewrite /scores /fetch_head score_tcat (gate_score ex z_mass (commit_ok st)) score_row dot_delta.
rewrite (h_one ex) dotZl /query_place !dotBl dotDl dotZl dotBl !dot_delta (h_one ex) (h_bos ex).
rewrite (dot_read_row _ _ (@EinvK S) (@EinvE S)) (dot_read_row _ _ (@SinvK S) (@SinvE S)).
have -> : dot (code (ebits S) (m S)) (fun b => h k (Eb b)) = same_example h (query_token i) k.
  by apply: eq_bigr => b _; rewrite (h_e ex (query_token i)).
have -> : dot (code (sbits S) (slot (task_of i))) (fun b => h k (Sb b)) =
          same_slot h (query_token i) k.
  by apply: eq_bigr => b _; rewrite (h_s ex (query_token i)).
by rewrite /place_at; lra.
Qed.

Lemma place_own i : place_at i (query_token i) = 0.
Proof. by rewrite /place_at (same_e ex) (same_s ex) /=; lra. Qed.
Lemma place_bos i : place_at i BOS = 0.
Proof. by rewrite /place_at (bos_e ex) (bos_s ex) /=; lra. Qed.
Lemma place_other i k : k != BOS -> k != query_token i -> place_at i k <= - 2.
Proof.
move=> kb kq; have := position_other mm ex (isT : query_token i != BOS) kb kq.
by rewrite /place_at; case: k kb kq => // g p _ _ /=; lra.
Qed.
Lemma place_le0 i k : place_at i k <= 0.
Proof.
case: (eqVneq k BOS) => [-> | kb]; first by rewrite place_bos; lra.
case: (eqVneq k (query_token i)) => [-> | kq]; first by rewrite place_own; lra.
by have := place_other kb kq; lra.
Qed.

Let s (q : tok) i := scores (fetch_head i) h q.
Let v (i : 'I_(K S)) k := f h k.
Let V := feature_norm C * input_radius C + feature_bias_norm C + E_f S C.

Lemma exact_f_norm t : norm (exact_f (P := P) t) <=
  feature_norm C * input_radius C + feature_bias_norm C.
Proof.
have pos : 0 <= feature_norm C * input_radius C + feature_bias_norm C.
  have := Rmult_le_pos _ _ (feature_norm_ge0 adm) (input_radius_ge0 adm).
  by have := feature_bias_norm_ge0 adm; lra.
case: t => [|g p] /=; first by rewrite norm0.
case: eqP => [_ | /eqP pm]; first by rewrite norm0.
by apply: feature_norm_le => //; apply: (inputs_bounded wi).
Qed.
Let f_norm (i : 'I_(K S)) k : norm (v i k) <= V.
Proof.
by rewrite /V Rplus_comm; apply: norm_near (commit_f st k) _; exact: exact_f_norm.
Qed.

Let h' := run_layer (fetch_layer S) h.
Lemma fetch_other t c : ~~ holds_feature c -> h' t c = h t c.
Proof.
move=> nf; rewrite /h' /fetch_layer run_heads big1 ?Rplus_0_r // => i _.
by apply: attention_other => l; exact: not_feature.
Qed.
Lemma fetch_moved t : f h' t = vadd (f h t) (moved (s t) v).
Proof.
apply: functional_extensionality => l; rewrite /part /h' /fetch_layer run_heads /vadd /moved.
congr (_ + _); apply: eq_bigr => i _; rewrite /fetch_head attention_copy //; exact: fcoord_inj.
Qed.

Let Tg0 : 0 <= T_gate C := T_gate_ge0 adm.
Let bos_norm (i : 'I_(K S)) : norm (v i BOS) <= E_f_bos S C := commit_f_bos st.
Let many := nu_ge mm (T_gate C).
Let many_more := Rplus_le_compat_l (tau_at (2 * T_gate C)) _ _ (nu_ge mm (2 * T_gate C)).
Let far_enough t i k : k != BOS -> k != query_token i -> s t i k <= - (2 * T_gate C).
Proof.
move=> kb kq; rewrite /s fetch_score; have := place_other kb kq; have [a b] := Tg_le.
have -> : b2R (is_bos k) = 0 by case: k kb {kq}.
by nra.
Qed.
Let query_score t i : s t i (query_token i) = 0.
Proof. by rewrite /s fetch_score place_own /=; lra. Qed.
Let target_top t i : query_token i != BOS -> s t i (query_token i) <= 0.
Proof. by rewrite query_score; lra. Qed.
Let bos_at t i : s t i BOS = gate_at C mass i t.
Proof. by rewrite /s fetch_score place_bos /=; lra. Qed.

(* A token that is no committed label. *)
Lemma fetch_idle t : ~~ (committed C t && is_lab t) ->
  norm (moved (s t) v) <= INR (K S) * (E_f_bos S C + shut_gate S C * longest_feature S C).
Proof.
move=> idle; apply: (all_shut f_norm bos_norm many_more (target_top t) (far_enough t)) => i.
by rewrite bos_at; exact: (idle_shut adm mass_yes mass_no).
Qed.

Lemma fetch_open t i : committed C t -> is_lab t -> verdict C t i ->
  norm (vsub (moved (s t) v) (f h (query_token i))) <=
  misplaced S C * longest_feature S C + INR (K S) * E_f_bos S C.
Proof.
move=> ct lt vi.
apply: (one_open Tg0 f_norm bos_norm many many_more (target_top t) (far_enough t)
  (near := neighbors i)).
- exact: query_score.
- by rewrite bos_at; exact: (own_open adm mass_yes mass_no).
- by move=> j ji; rewrite bos_at; exact: (others_shut adm mass_yes mass_no ct lt vi).
- by move=> j ji nj; rewrite bos_at; exact: (far_shut adm mass_yes mass_no ct lt vi).
- exact: card_neighbors.
Qed.

Theorem fetch_after : after_fetch C h'.
Proof.
have tau0 : 0 <= tau_gate C := tau_at_ge0 _; have nu0 : 0 <= nu_gate S C := nu_at_ge0 S _.
have shut0 : 0 <= shut_gate S C := Rplus_le_le_0_compat _ _ (tau_at_ge0 _) (nu_at_ge0 S _).
have K0 := pos_INR (K S); have eb0 := E_f_bos_ge0 adm; have e0 := E_f_ge0 adm.
have er0 := E_f_rest_ge0 adm.
have lf0 : 0 <= longest_feature S C.
  by rewrite /longest_feature; have := exact_f_norm BOS; rewrite /= norm0; lra.
have keep_y t : part (@Y S) h' t = part (@Y S) h t.
  by apply: functional_extensionality => a; exact: fetch_other.
split.
- by apply: keep_flags ex => t c fl; apply: fetch_other; case: c fl.
- move=> j i t ct vi; rewrite fetch_moved.
  set goal := feature _ _; set q := f h (query_token i).
  have -> : vsub (vadd (f h t) (moved (s t) v)) goal =
            vadd (f h t) (vadd (vsub (moved (s t) v) q) (vsub q goal)).
    by apply: functional_extensionality => l; rewrite /vsub /vadd; lra.
  have own : norm (f h t) <= E_f_rest S C by apply: (commit_f_rest st); rewrite /= eqxx.
  have query : norm (vsub q goal) <= E_f S C.
    by have := commit_f st (query_token i); rewrite /= (negbTE (slots_hold_inputs adm i)).
  have lt : is_lab t by rewrite /= eqxx.
  have op := fetch_open ct lt vi; rewrite -/q in op.
  apply: Rle_trans (norm_triangle _ _) _.
  have := norm_triangle (vsub (moved (s t) v) q) (vsub q goal).
  by rewrite /fetched; lra.
- move=> t idle; rewrite fetch_moved.
  have -> : vsub (vadd (f h t) (moved (s t) v)) (exact_f t) =
            vadd (vsub (f h t) (exact_f t)) (moved (s t) v).
    by apply: functional_extensionality => l; rewrite /vsub /vadd; lra.
  apply: Rle_trans (norm_triangle _ _) _; have := fetch_idle idle; have := commit_f st t.
  have := Rmult_le_pos _ _ tau0 lf0; have := Rmult_le_pos _ _ nu0 lf0.
  by rewrite /fetched /misplaced; lra.
- rewrite fetch_moved; apply: Rle_trans (norm_triangle _ _) _.
  have := @fetch_idle BOS; rewrite andbF => /(_ isT); have := commit_f_bos st.
  by rewrite /fetched_bos; lra.
- by move=> t; rewrite keep_y; exact: commit_y.
- by move=> t; rewrite keep_y; exact: commit_y_rest.
- by rewrite keep_y; exact: commit_y_bos.
- exists mass; split; [move=> t a | by split].
  by rewrite fetch_other.
- by move=> t; rewrite fetch_other //; exact: commit_ok.
Qed.
End Fetch.

(* Lemma 5. *)
Theorem fetch_lemma (S : spec) (C : consts) (P : prompt S) : admissible S C -> within C P ->
  forall h : stream (coord_finType S) (tok_finType P),
  after_commit C h -> after_fetch C (run_layer (fetch_layer S) h).
Proof.
move=> adm wi h st; have [mass [z [yes no]]] := commit_z st.
exact: (fetch_after adm wi st z yes no).
Qed.
