(* Lemma 2 (Pair). After layer 2 every example input holds its example's label in y, up to R (n
   tau + 2 nu); every other token's y is unchanged up to R nu, BOS' included.

   Assumed: T >= 0, labels of norm at most R, and y = 0 at all tokens but labels. Why: at an
   example input the own label stands alone at T|e| + T; the inputs of the example and BOS, n of
   them, are T behind and hold y = 0; the labels of other examples are 2T behind. Everybody else
   idles on BOS. *)
From Theorem1 Require Import sums selection transformer stream prompt signs own_example stages.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Pair.
Variables (S : spec) (C : consts) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Hypotheses (adm : admissible S C) (wi : within C P).
Notation T := (T S).
Notation R := (radius C).
Notation tau := (tau S).
Notation nu := (nu S).
Variable h : stream coord tok.
Hypothesis before : after_lift C h.
Notation h' := (run_layer (pair_layer S) h).
Notation y := (part (@Y S)).
Notation hd := (pair_head S).

Let ex := lift_flags before.
Let mm := not_too_many wi.
Let T_ge0 := T_ge0 adm.
Let R_ge0 := radius_ge0 adm.
Let tau_ge0 := tau_ge0 S.
Let nu_ge0 := nu_ge0 S.

Lemma pair_others q (c : coord) : (forall i, c != Y i) -> h' q c = h q c.
Proof.
by move=> no; rewrite run_heads sum_first ?(some_task adm) // attention_other // Rplus_0_r.
Qed.

Lemma pair_out q : y h' q = vadd (y h q) (head_output (scores hd h q) (y h)).
Proof.
apply: functional_extensionality => i.
by rewrite /part run_heads sum_first ?(some_task adm) // attention_copy //; exact: Y_inj.
Qed.

Let wrow : vec coord := delta (Lab : coord).
Let crow : vec coord := vsub (delta One) (vsub (delta Inp) (delta (Qry : coord))).
Let hdE : qk hd = own_term wrow crow. Proof. by []. Qed.
Let w_le k : dot wrow (h k) <= 1.
Proof. by rewrite /wrow dot_delta (h_lab ex); have [] := b2R_01 (is_lab k). Qed.
Let w_bos : dot wrow (h BOS) = 0.
Proof. by rewrite /wrow dot_delta (h_lab ex). Qed.
Let idle q : dot crow (h q) =
  1 - b2R (is_inp q) + b2R (is_qry q).
Proof. by rewrite /crow !dotBl !dot_delta (h_one ex) (h_inp ex) (h_qry ex); ring. Qed.

Let blank t : ~~ is_lab t -> y h t = vzero.
Proof. by move=> nl; rewrite (lift_y before) (negbTE nl). Qed.
Let short t : norm (y h t) <= R.
Proof.
rewrite (lift_y before); case: t => [|[j|] p] /=; rewrite ?norm0 //.
by case: ifP => _; [exact: labels_bounded wi j | rewrite norm0].
Qed.
Let vsub0 (I : finType) (v : vec I) : vsub v vzero = v. Proof. by vec_ring. Qed.

Lemma pair_elsewhere q : ~~ example_input q -> norm (vsub (y h' q) (y h q)) <= R * nu.
Proof.
move=> out; rewrite pair_out.
have -> : vsub (vadd (y h q) (head_output (scores hd h q) (y h))) (y h q) =
          vsub (head_output (scores hd h q) (y h)) (y h BOS).
  by rewrite (@blank BOS) //; vec_ring.
rewrite Rmult_comm.
apply: (idle_output mm T_ge0 ex hdE w_le w_bos).
  rewrite idle; move: out; rewrite /example_input.
  by case: (is_inp q); case: (is_qry q) => //= _; lra.
by move=> k; rewrite (@blank BOS) // vsub0; exact: short.
Qed.

Lemma pair_bos : norm (y h' BOS) <= R * nu_bos S.
Proof.
have yb : y h BOS = vzero by exact: (@blank BOS).
rewrite pair_out yb (_ : vadd _ _ = vsub (head_output (scores hd h BOS) (y h)) (y h BOS));
  last first.
  by rewrite yb; vec_ring.
rewrite Rmult_comm; apply: (bos_output mm T_ge0 ex hdE w_le w_bos).
- by rewrite -[1]/(INR 1); apply/le_INR/leP; exact: ebits_gt0 (some_example adm).
- by rewrite idle /=; lra.
- by move=> k; rewrite yb vsub0; exact: short.
Qed.

(* The near losers of an example input: the example's other inputs, and BOS. *)
Lemma pair_near g p : (#|[pred t : tok | (t != At g p) && own g t]| <= (n0 S).+1)%N.
Proof.
pose f (o : option 'I_(n0 S)) : tok := if o is Some x then At g (fintype.lift p x) else BOS.
apply: leq_trans (_ : #|image f predT| <= _)%N; last first.
  by apply: leq_trans (leq_image_card _ _) _; rewrite card_option card_ord.
apply/subset_leq_card/subsetP => t; rewrite inE => /andP [tn to].
apply/imageP; case: t tn to => [|g' p'] tn to; first by exists None.
move: to tn => /= /eqP ->; case: (unliftP p p') => [x ->|->]; last by rewrite eqxx.
by move=> _; exists (Some x).
Qed.

(* At an example input the own label wins. *)
Lemma pair_input j p : p != ord_max ->
  norm (vsub (y h' (At (Some j) p)) (label P j)) <= R * (INR (n S) * tau + 2 * nu).
Proof.
move=> pm; set q : tok := At (Some j) p; set l : tok := At (Some j) ord_max.
have yl : y h l = label P j by rewrite (lift_y before) /= eqxx.
have -> : vsub (y h' q) (label P j) = vsub (head_output (scores hd h q) (y h)) (y h l).
  by rewrite pair_out yl (@blank q) /= ?(negbTE pm) //; vec_ring.
have act : dot crow (h q) = 0.
  by rewrite idle /= pm /=; ring.
have lab p' : dot wrow (h (At (Some j) p')) = b2R (p' == ord_max).
  by rewrite /wrow dot_delta (h_lab ex).
have top : scores hd h q l = T * INR (ebits S) + T.
  by rewrite (active_in ex hdE act) lab eqxx /=; ring.
apply: Rle_trans (_ : INR (n S) * tau * R + nu * (2 * R) <= _); last by apply: Req_le; ring.
apply: (@selection1 _ (scores hd h q) T nu l (own (Some j)) (n S)).
- exact: nu_ge.
- move=> k kl; rewrite top; case: k kl => [|g' p'] kl;
    first by rewrite (active_bos ex hdE w_bos act); lra.
  move=> /= /eqP E; rewrite E (active_in ex hdE act) lab.
  have -> : (p' == ord_max) = false by apply/negbTE; apply: contra kl => /eqP ->; rewrite E.
  by rewrite /=; lra.
- move=> k kl; rewrite top; case: k kl => [|g' p'] // kl /= gg.
  by apply: (active_out mm T_ge0 ex hdE w_le act); rewrite eq_sym.
- exact: pair_near.
- move=> k kl ow; rewrite (@blank k).
    by apply: Rle_trans (norm_sub_le _ _) _; rewrite norm0 Rplus_0_l; exact: short.
  case: k kl ow => [|[j'|] p'] //= kl /eqP E; apply: contra kl => /eqP ->.
  by case: E => ->.
- move=> k kl ow; apply: Rle_trans (norm_sub_le _ _) _.
  by have -> : 2 * R = R + R by [ring]; apply: Rplus_le_compat; exact: short.
- exact: R_ge0.
- by lra.
Qed.

Theorem pair_lemma : after_pair C h'.
Proof.
have rest t : ~~ example_input t -> norm (vsub (y h' t) (exact_y t)) <= R * nu.
  move=> nt; have -> : exact_y t = y h t; last exact: pair_elsewhere.
  rewrite (lift_y before); case: t nt => [|[j|] p] //=.
  by rewrite /example_input /= andbT negbK => ->.
have keep (c : coord) t : (forall i, c != Y i) -> h' t c = h t c by exact: pair_others.
have keep_f t : part fcoord h' t = part fcoord h t.
  apply: functional_extensionality => l; apply: keep => i.
  by rewrite eq_sym; exact: not_feature.
split.
- by apply: keep_flags ex => t c fl; apply: keep => i; apply: contraL fl => /eqP ->.
- by move=> t; rewrite keep_f; exact: lift_f before t.
- by move=> t ni; rewrite keep_f; exact: (lift_f_rest before ni).
- by rewrite keep_f; exact: (lift_f_bos before).
- move=> t; case: (boolP (example_input t)) => [|nt]; last first.
    apply: Rle_trans (rest _ nt) _; apply: Rmult_le_compat_l => //.
    by have := Rmult_le_pos _ _ (pos_INR (n S)) tau_ge0; lra.
  case: t => [|[j|] p] //; rewrite /example_input /= ?andbF //.
  by rewrite andbT; exact: pair_input.
- exact: rest.
- exact: pair_bos.
- by move=> t a; rewrite keep ?(lift_z before).
- by move=> t; rewrite keep ?(lift_count before).
- by move=> t; rewrite keep ?(lift_ok before).
Qed.
End Pair.
