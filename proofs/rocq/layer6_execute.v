(* Layer 6, Execute: a label committed to task i replaces itself by the task's output on the query.
   Lemma 6.

   In words: let the stream be as Fetch leaves it. Then after Execute a label that committed to task
   i holds g_i(X_query) in y, up to `executed`: |W| times the error of the fetched features, what K
   idle heads read from BOS, and the weight that is misplaced times the longest value. The old label
   gives way exactly. The y of every other token moves by at most K (BOS' value + nu times the
   longest), that of BOS and of the answer token included. No other coordinate moves. *)
From Theorem1 Require Import sums selection transformer stream prompt signs stages.
From Theorem1 Require Import codes longest_sum gate layer5_fetch.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Execute.
Variables (S : spec) (C : consts) (P : prompt S).
Hypotheses (adm : admissible S C) (wi : within C P).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation L := (INR (ebits S) + INR (sbits S)).
Notation f h t := (part (@fcoord S) h t).
Notation y h t := (part (@Y S) h t).
Variable h : stream coord tok.
Hypothesis st : after_fetch C h.
Let ex := fetch_flags st.
Let mm := not_too_many wi.
Let Tg_le : 0 <= T_gate C <= T S := cold_gate adm.
Variable mass : tok -> 'I_(K S) -> R.
Hypothesis z_mass : forall t a, h t (Z a) = \sum_i mass t i * code_of i a.
Hypothesis mass_yes : forall t i, verdict C t i ->
  1 - (2 * tau S + stray S C) <= mass t i <= 1 + stray S C.
Hypothesis mass_no : forall t i, ~~ verdict C t i -> 0 <= mass t i <= stray S C.

(* A token scores itself 0, and every other one but BOS at most -2T. *)
Definition token_at (q k : tok) : R :=
  same_example h q k + same_slot h q k - L * (1 - b2R (is_bos k)).

Lemma execute_score i q k :
  scores (execute_head i) h q k = T S * token_at q k + gate_at C mass i q * b2R (is_bos k).
Proof.
rewrite /scores /execute_head score_tcat (gate_score ex z_mass (fetch_ok st)) score_tcat.
rewrite score_match score_row dot_delta dotZl dotBl !dot_delta (h_one ex) (h_one ex) (h_bos ex).
have -> : dot (fun b => h q (position b)) (fun b => h k (position b)) =
          same_example h q k + same_slot h q k by rewrite /dot big_sumType.
by rewrite /token_at; lra.
Qed.

Lemma token_own q : q != BOS -> token_at q q = 0.
Proof. by case: q => // g p _; rewrite /token_at (position_self ex) //=; lra. Qed.
Lemma token_bos q : token_at q BOS = 0.
Proof. by rewrite /token_at (bos_e ex) (bos_s ex) /=; lra. Qed.
Lemma token_other q k : q != BOS -> k != BOS -> k != q -> token_at q k <= - 2.
Proof.
move=> qb kb kq; have := position_other mm ex qb kb kq.
by rewrite /token_at; case: k kb kq => // g p _ _ /=; lra.
Qed.
(* BOS has no position, and there are two bits at least. *)
Lemma token_from_bos k : k != BOS -> token_at BOS k <= - 2.
Proof.
move=> kb; rewrite /token_at (from_bos_e ex) (from_bos_s ex).
have e1 := le_INR 1 _ (elimT leP (ebits_gt0 (some_example adm))).
have s1 := le_INR 1 _ (elimT leP (sbits_gt0 (leq_ltn_trans (leq0n _) (some_input adm)))).
by case: k kb => // g p _ /=; rewrite /= in e1 s1; lra.
Qed.

(* The value of head i at token k. *)
Let s (q : tok) i := scores (execute_head i) h q.
Definition made (i : 'I_(K S)) (k : tok) : vec 'I_(dim S) :=
  vadd (apply (weight (task_of i)) (f h k)) (vscale (b2R (is_lab k)) (bias (task_of i))).
Definition value (i : 'I_(K S)) (k : tok) : vec 'I_(dim S) := vsub (made i k) (y h k).

Let h' := run_layer (execute_layer S) h.
Lemma execute_other t c : (forall a, c != Y a) -> h' t c = h t c.
Proof.
move=> no; rewrite /h' /execute_layer run_heads big1 ?Rplus_0_r // => i _.
exact: attention_other.
Qed.
Lemma execute_moved t : y h' t = vadd (y h t) (moved (s t) value).
Proof.
apply: functional_extensionality => a; rewrite /part /h' /execute_layer run_heads /vadd /moved.
congr (_ + _); apply: eq_bigr => i _; apply: eq_bigr => k _; congr (_ * _).
rewrite /execute_head /= (apply_writes _ _ (@Y_inj S)) /apply dotBl dotDl dotZl !dot_delta.
rewrite (dot_read_row _ _ (@finvK S) (@finvE S)) (h_lab ex).
by rewrite /value /made /vsub /vadd /vscale /apply; congr (_ + _ - _); exact: Rmult_comm.
Qed.

(* How long values are. *)
Let R0 : 0 <= radius C := radius_ge0 adm.
Let w0 : 0 <= weight_norm C := weight_norm_ge0 adm.
Let b0 : 0 <= bias_norm C := bias_norm_ge0 adm.
Let fetched0 : 0 <= fetched S C.
Proof. by apply: Rle_trans (norm_ge0 _) (fetch_f_rest st (t := BOS) _); rewrite andbF. Qed.

(* W_i f is near W_i g if f is near g. *)
Lemma apply_near i (u g : vec 'I_(fdim (phi S))) e : norm (vsub u g) <= e ->
  norm (vsub (apply (weight (task_of i)) u) (apply (weight (task_of i)) g)) <= weight_norm C * e.
Proof.
move=> ug; rewrite -apply_sub; apply: Rle_trans (weights_bounded adm i _) _.
exact: Rmult_le_compat_l.
Qed.

Lemma output_split i g p : apply (weight (task_of i)) (feature (phi S) (filled P g p)) =
  vsub (output P i g p) (bias (task_of i)).
Proof. by apply: functional_extensionality => a; rewrite /output /vsub /vadd; lra. Qed.

Lemma output_norm i g p : p != ord_max ->
  norm (apply (weight (task_of i)) (feature (phi S) (filled P g p))) <= radius C + bias_norm C.
Proof.
move=> pm; rewrite output_split; apply: Rle_trans (norm_sub_le _ _) _.
by have := outputs_bounded wi i g pm; have := biases_bounded adm i; lra.
Qed.

Let E_y0 : 0 <= E_y S C := E_y_ge0 adm.
Let wf0 : 0 <= weight_norm C * fetched S C. Proof. exact: Rmult_le_pos. Qed.

Lemma exact_y_norm t : norm (exact_y (P := P) t) <= radius C.
Proof. by case: t => [|[j|] p] /=; rewrite ?norm0 //; exact: (labels_bounded wi). Qed.
Lemma y_norm t : norm (y h t) <= radius C + E_y S C.
Proof. by rewrite Rplus_comm; apply: norm_near (fetch_y st t) (exact_y_norm t). Qed.

(* What a head makes of features near phi(x), or near 0. *)
Lemma made_near i t g p : p != ord_max ->
  norm (vsub (f h t) (feature (phi S) (filled P g p))) <= fetched S C ->
  norm (vadd (apply (weight (task_of i)) (f h t)) (bias (task_of i))) <=
    weight_norm C * fetched S C + radius C /\
  norm (apply (weight (task_of i)) (f h t)) <=
    weight_norm C * fetched S C + (radius C + bias_norm C).
Proof.
move=> pm near; have an := apply_near i near; split; last first.
  by apply: norm_near an _; exact: output_norm.
apply: norm_near (outputs_bounded wi i g pm); apply: Rle_trans an; apply: Req_le; congr norm.
by apply: functional_extensionality => a; rewrite /output /vsub /vadd; lra.
Qed.
Lemma made_zero i t : norm (vsub (f h t) vzero) <= fetched S C ->
  norm (apply (weight (task_of i)) (f h t)) <= weight_norm C * fetched S C.
Proof. by move=> /(apply_near i); rewrite apply_zero vsub_zero. Qed.

Let scaled1 i : vscale (b2R true) (bias (task_of (s := S) i)) = bias (task_of i).
Proof. by apply: functional_extensionality => a; rewrite /vscale /=; lra. Qed.
Let scaled0 (u v : vec 'I_(dim S)) : vadd u (vscale (b2R false) v) = u.
Proof. by apply: functional_extensionality => a; rewrite /vadd /vscale /=; lra. Qed.

Lemma value_norm i k : norm (value i k) <= longest_value S C.
Proof.
apply: Rle_trans (norm_sub_le _ _) _; have yn := y_norm k.
suff : norm (made i k) <= weight_norm C * fetched S C + (radius C + bias_norm C).
  by rewrite /longest_value; lra.
rewrite /made.
case cl : (committed C k && is_lab k).
  have /andP [ck lk] := cl; rewrite lk scaled1.
  case: k {yn cl} ck lk => [|[j|] p] //= ck /eqP pm; rewrite {}pm in ck *.
  have /card1P [i0 only] := ck.
  have vi : verdict C (At (Some j) ord_max : tok) i0 by have := only i0; rewrite !inE eqxx.
  have [n1 _] := made_near i (slots_hold_inputs adm i0) (fetch_f st ck vi); lra.
have near := fetch_f_rest st (negbT cl).
case: k {cl yn} near => [|g p] near; first by rewrite scaled0; have := made_zero i near; lra.
have [pm | pm] := eqVneq p ord_max.
  have z : exact_f (At g p : tok) = vzero by rewrite /exact_f pm eqxx.
  rewrite z in near; have mz := made_zero i near.
  case: (is_lab _); last by rewrite scaled0; lra.
  rewrite scaled1; apply: Rle_trans (norm_triangle _ _) _.
  by have := biases_bounded adm i; lra.
have -> : is_lab (At g p : tok) = false by case: g {near} => //= j; apply/negbTE.
have z : exact_f (At g p : tok) = feature (phi S) (filled P g p) by rewrite /exact_f (negbTE pm).
by rewrite z in near; rewrite scaled0; have [] := made_near i pm near.
Qed.

Lemma value_bos_norm i : norm (value i BOS) <= value_bos S C.
Proof.
apply: Rle_trans (norm_sub_le _ _) _; rewrite /made scaled0.
have fb := weights_bounded adm i (f h BOS).
have := Rmult_le_compat_l _ _ _ w0 (fetch_f_bos st).
have := fetch_y_bos st; rewrite /value_bos; lra.
Qed.

Let Tg0 : 0 <= T_gate C := T_gate_ge0 adm.
Let many := nu_ge mm (T_gate C).
Let many_more := Rplus_le_compat_l (tau_at (2 * T_gate C)) _ _ (nu_ge mm (2 * T_gate C)).
Let bos_at q i : s q i BOS = gate_at C mass i q.
Proof. by rewrite /s execute_score token_bos /=; lra. Qed.
Let not_bos q i k : k != BOS -> s q i k = T S * token_at q k.
Proof. by rewrite /s execute_score; case: k => // g p _ /=; lra. Qed.
Let self_score q i : q != BOS -> s q i q = 0.
Proof. by move=> qb; rewrite (not_bos _ _ qb) token_own //; lra. Qed.
Let target_top q i : q != BOS -> s q i q <= 0.
Proof. by move=> qb; rewrite self_score //; lra. Qed.
Let far_enough q i k : k != BOS -> k != q -> s q i k <= - (2 * T_gate C).
Proof.
move=> kb kq; rewrite (not_bos _ _ kb); have [a b] := Tg_le.
suff : token_at q k <= - 2 by nra.
by case: (eqVneq q BOS) kq => [-> _ | qb kq]; [exact: token_from_bos | exact: token_other].
Qed.

(* A token that is no committed label. *)
Lemma execute_idle t : ~~ (committed C t && is_lab t) ->
  norm (moved (s t) value) <=
  INR (K S) * (value_bos S C + shut_gate S C * (longest_value S C + value_bos S C)).
Proof.
move=> idle.
apply: (all_shut (s := s t) (target := fun=> t) value_norm value_bos_norm many_more) => i.
- exact: target_top.
- exact: far_enough.
by rewrite bos_at; exact: (idle_shut adm mass_yes mass_no).
Qed.

Lemma execute_open t i : committed C t -> is_lab t -> verdict C t i ->
  norm (vsub (moved (s t) value) (value i t)) <=
  misplaced S C * (longest_value S C + value_bos S C) + INR (K S) * value_bos S C.
Proof.
move=> ct lt vi; have tb : t != BOS by case: t lt {ct vi}.
apply: (one_open (s := s t) (target := fun=> t) Tg0 value_norm value_bos_norm many many_more _ _
  (near := neighbors i)).
- by move=> j; exact: target_top.
- by move=> j k; exact: far_enough.
- exact: self_score.
- by rewrite bos_at; exact: (own_open adm mass_yes mass_no).
- by move=> j ji; rewrite bos_at; exact: (others_shut adm mass_yes mass_no ct lt vi).
- by move=> j ji nj; rewrite bos_at; exact: (far_shut adm mass_yes mass_no ct lt vi).
- exact: card_neighbors.
Qed.

Theorem execute_after : after_execute C h'.
Proof.
have rest t : ~~ example_input t -> ~~ (committed C t && is_lab t) -> exact_y t = vzero ->
    norm (y h' t) <= idle_y S C.
  move=> ni idle e0; rewrite execute_moved; apply: Rle_trans (norm_triangle _ _) _.
  have := execute_idle idle; have := fetch_y_rest st ni; rewrite e0 vsub_zero /idle_y; lra.
split.
- by apply: keep_flags ex => t c fl; apply: execute_other => a; case: c fl.
- move=> j i t ct vi; rewrite execute_moved; have lt : is_lab t by rewrite /= eqxx.
  set g := perform P i None; set w := apply (weight (task_of i)) (f h t).
  have -> : vsub (vadd (y h t) (moved (s t) value)) g =
            vadd (vsub (moved (s t) value) (value i t)) (vsub (vadd w (bias (task_of i))) g).
    rewrite /value /made lt scaled1; apply: functional_extensionality => a.
    by rewrite /vsub /vadd -/w; lra.
  apply: Rle_trans (norm_triangle _ _) _; have := execute_open ct lt vi.
  have := apply_near i (fetch_f st ct vi); rewrite -/w.
  set u := apply _ _; have -> : vsub w u = vsub (vadd w (bias (task_of i))) g.
    by apply: functional_extensionality => a; rewrite /g /perform /output -/u /vsub /vadd; lra.
  by rewrite /executed; lra.
- move=> t idle; rewrite execute_moved; apply: Rle_trans (norm_triangle _ _) _.
  have := execute_idle idle; have := y_norm t.
  by have := Rnu_ge0 adm; rewrite /idle_y; lra.
- by apply: rest => //; rewrite andbF.
- by apply: rest => //; rewrite ?andbF // /example_input /= eqxx.
- by move=> t; rewrite execute_other //; exact: fetch_ok.
Qed.
End Execute.

(* Lemma 6. *)
Theorem execute_lemma (S : spec) (C : consts) (P : prompt S) : admissible S C -> within C P ->
  forall h : stream (coord_finType S) (tok_finType P),
  after_fetch C h -> after_execute C (run_layer (execute_layer S) h).
Proof.
move=> adm wi h st; have [mass [z [yes no]]] := fetch_z st.
exact: (execute_after adm wi st z yes no).
Qed.
