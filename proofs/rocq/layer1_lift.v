(* Lemma 1 (Lift). After layer 1 every token holds the features of its input, the sum slot filled,
   up to E_f = |B| max (2X (3 tau + nu), (n - 2) X nu), and tokens that are no inputs hold
   features 0 up to the same; BOS holds features 0 up to |B| (n - 2) X nu. Without a sum slot
   all of this is exact.

   Assumed: T >= 0, inputs of norm at most X, the sum slot's filled one included, and blank sum
   slots. Why: at a sum slot the n - 2 other inputs of the example tie at T|e| + T; the slot
   itself, the last token and BOS are T behind and hold x = 0; everything else is 2T behind.
   Everybody else idles on BOS. The MLP is max(Bx + c inp, 0), and inp is exact. *)
From Theorem1 Require Import sums selection transformer stream prompt signs own_example stages.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* The MLP of Lift, whatever phi is. raw phi x 1 = phi(x), raw phi 0 0 = 0. *)
Section Features.
Definition raw d (phi : features d) : vec 'I_d -> R -> vec 'I_(fdim phi) :=
  match phi with
  | Identity => fun x _ => x
  | Relu r B c => fun x b => relu (vadd (apply B x) (vscale b c))
  end.
Arguments raw {d}.

Lemma raw1 d (phi : features d) x : raw phi x 1 = feature phi x.
Proof. by case: phi => //= r B c; congr relu; vec_ring. Qed.
Lemma raw0 d (phi : features d) : raw phi vzero 0 = vzero.
Proof.
case: phi => //= r B c; apply: functional_extensionality => j.
rewrite /relu /vadd /vscale /apply dotC dot0l Rmax_left /vzero; lra.
Qed.

Definition lipschitz d (phi : features d) b := match phi with
  | Identity => 1 <= b | Relu r B c => forall v, norm (apply B v) <= b * norm v end.

Lemma raw_lipschitz d (phi : features d) b x x' t : lipschitz phi b ->
  norm (vsub (raw phi x t) (raw phi x' t)) <= b * norm (vsub x x').
Proof.
case: phi => [|r B c] /= lip; first by have := norm_ge0 (vsub x x'); nra.
apply: Rle_trans (lip _); apply: norm_le_coord => j.
have -> : apply B (vsub x x') j = apply B x j - apply B x' j by rewrite /apply !(dotC (B j)) dotBl.
rewrite /vsub /relu /vadd /vscale.
move: (apply B x j) (apply B x' j) (t * c j) => u v w.
rewrite /Rmax; case: Rle_dec => ?; case: Rle_dec => ?; rewrite /Rabs; case: Rcase_abs => ?;
  case: Rcase_abs => ?; lra.
Qed.

Variables (S : spec).
Notation coord := (coord_finType S).

Lemma features_run d (phi : features d) (xc : 'I_d -> coord) (xi : coord -> option 'I_d)
    (f : 'I_(stored phi) -> coord) (hs : 'I_(K S) -> head coord) (tok : finType)
      (h : stream coord tok) t :
  pcancel xc xi -> (forall c i, xi c = Some i -> c = xc i) -> injective f ->
  let a := attend (Layer hs (@no_mlp_1 coord) (@no_mlp_2 coord)) h t in
  let h' := run_layer (features_layer xi f hs) h t in
  (forall c, (forall i, c != f i) -> h' c = a c) /\
  ((forall i, a (f i) = 0) -> forall l, h' (fcoord_of xc f l) = raw phi (fun i => a (xc i))
    (a Inp) l).
Proof.
move=> xk xe; case: phi f => [|r B c] f fi a h'.
  have E c : h' c = a c.
    by rewrite /h' /run_layer /= [X in _ + X](_ : _ = 0) ?Rplus_0_r //; apply: big1; case.
  by split=> [c _|_ l]; exact: E.
have E c' : h' c' = a c' + apply (writes f)
  (relu (apply (fun j => vadd (read_row (B j) xi) (vscale (c j) (delta Inp))) a)) c' by [].
split=> [c' no | a0 l]; first by rewrite E apply_writes0 // Rplus_0_r.
rewrite [LHS]E /= apply_writes // a0 Rplus_0_l /relu /apply dotDl dotZl dot_delta
  (dot_read_row _ _ xk xe).
by rewrite /vadd /vscale /apply Rmult_comm.
Qed.
End Features.
Arguments raw {d}.

Section Lift.
Variables (S : spec) (C : consts) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Hypotheses (adm : admissible S C) (wi : within C P).
Notation T := (T S).
Notation X_ := (input_radius C).
Notation tau := (tau S).
Notation nu := (nu S).
Notation h := (embed P).
Notation x := (part (@X S)).
Notation hd := (lift_head S).

Let ex : exact_flags h := embed_flags P.
Let mm := not_too_many wi.
Let T_ge0 := T_ge0 adm.
Let X_ge0 := input_radius_ge0 adm.
Let tau_ge0 := tau_ge0 S.
Let nu_ge0 := nu_ge0 S.

(* The attention, and what follows for x. *)
Definition a : stream coord tok :=
  attend (Layer (@lift_heads S) (@no_mlp_1 coord) (@no_mlp_2 coord)) h.

Lemma x_embed t : x h t = if t is At g p then if p == ord_max then vzero else input P g p else
  vzero.
Proof. by apply: functional_extensionality => i; case: t => [|g p] //=; rewrite /part /=; case: ifP.
Qed.
Lemma filled_input g p : ~~ is_sum p -> filled P g p = input P g p.
Proof. by move=> /negbTE ns; apply: functional_extensionality => i; rewrite /filled ns. Qed.
Lemma x_sum g p : is_sum p -> x h (At g p) = vzero.
Proof.
move=> s; rewrite x_embed; case: ifP => // _; apply: functional_extensionality => i.
exact: (sums_blank wi g i s).
Qed.
Lemma x_plain g p : ~~ is_sum p -> x h (At g p) = exact_x (At g p : tok).
Proof. by move=> s; rewrite x_embed /= filled_input. Qed.
Lemma x_short t : norm (x h t) <= X_.
Proof.
case: t => [|g p]; first by rewrite x_embed norm0.
case: (boolP (is_sum p)) => s; first by rewrite x_sum // norm0.
rewrite x_plain //=; case: ifP => [_|/negbT pm]; first by rewrite norm0.
exact: (inputs_bounded wi g pm).
Qed.

Lemma sum_not_max (p : 'I_(n0 S).+1) : is_sum p -> p != ord_max.
Proof.
move=> /andP [_ /eqP E]; apply/negP => /eqP pm.
have E' : p = n0 S :> nat by rewrite pm.
by move: E; rewrite E' => /eqP; rewrite eqn_leq ltnn.
Qed.

Section WithSum.
Hypothesis has_sum : sum_slot S.
Let n1 : (1 < n0 S)%N. Proof. by have := some_input adm; rewrite has_sum. Qed.
Let w := (n0 S - 1)%N.
Let w_ge1 : 1 <= INR w. Proof. by rewrite -[1]/(INR 1); apply/le_INR/leP; rewrite subn_gt0. Qed.
Let v (t : tok) := vscale (INR w) (x h t).

Lemma x_out t : x a t = vadd (x h t) (head_output (scores hd h t) v).
Proof.
apply: functional_extensionality => i;
  rewrite /part /a /attend /lift_heads has_sum sum_first ?(some_task adm) //.
congr (_ + _); apply: eq_bigr => k _.
by rewrite apply_writes; [rewrite /apply dotZl dot_delta | exact: X_inj].
Qed.

Let wrow : vec coord := vsub (delta Inp) (@sum_flag S).
Let crow : vec coord := vsub (delta One) (@sum_flag S).
Let hdE : qk hd = own_term wrow crow. Proof. by []. Qed.
Lemma read_sum t : dot (@sum_flag S) (h t) = if t is At _ p then b2R (is_sum p) else 0.
Proof.
have i0 : 'I_(sum_slot S) by rewrite has_sum; exact: ord0.
rewrite /dot (sum_pick (j := Sum i0)); first by case: t => [|g p] /=; ring.
case=> //= [i|i|i|i||||||||i|i|i]; rewrite ?Rmult_0_l // => ne; case/negP: ne; apply/eqP; congr Sum.
by move: i i0; rewrite has_sum => i i0; rewrite (ord1 i) (ord1 i0).
Qed.
Let wE t : dot wrow (h t) = b2R (is_inp t) - (if t is At _ p then b2R (is_sum p) else 0).
Proof. by rewrite /wrow dotBl dot_delta read_sum. Qed.
Let w_le t : dot wrow (h t) <= 1.
Proof. by rewrite wE; have := b2R_01 (is_inp t); case: t => [|g p]; [|have := b2R_01 (is_sum p)];
  lra. Qed.
Let w_bos : dot wrow (h BOS) = 0. Proof. by rewrite wE /=; ring. Qed.
Let cE t : dot crow (h t) = 1 - (if t is At _ p then b2R (is_sum p) else 0).
Proof. by rewrite /crow dotBl dot_delta read_sum. Qed.

(* Everybody but a sum slot idles. *)
Lemma lift_idle t : ~~ (if t is At _ p then is_sum p else false) ->
  norm (vsub (x a t) (x h t)) <= INR w * X_ * nu.
Proof.
move=> no; rewrite x_out.
have -> : vsub (vadd (x h t) (head_output (scores hd h t) v)) (x h t) =
          vsub (head_output (scores hd h t) v) (v BOS).
  by rewrite /v (x_embed BOS); vec_ring.
rewrite Rmult_comm; apply: (idle_output mm T_ge0 ex hdE w_le w_bos).
  by rewrite cE; case: t no => [|g p] /=; [lra | move=> /negbTE -> /=; lra].
move=> k; rewrite /v (x_embed BOS) (_ : vsub _ _ = vscale (INR w) (x h k)); last by vec_ring.
by rewrite norm_scale Rabs_pos_eq; [apply: Rmult_le_compat_l; [lra | exact: x_short] | lra].
Qed.

Lemma lift_bos : norm (vsub (x a BOS) (x h BOS)) <= INR w * X_ * nu_bos S.
Proof.
rewrite x_out (_ : vsub (vadd (x h BOS) (head_output (scores hd h BOS) v)) (x h BOS) =
          vsub (head_output (scores hd h BOS) v) (v BOS)); last by rewrite /v (x_embed BOS);
            vec_ring.
rewrite Rmult_comm; apply: (bos_output mm T_ge0 ex hdE w_le w_bos).
- by rewrite -[1]/(INR 1); apply/le_INR/leP; exact: ebits_gt0 (some_example adm).
- by rewrite cE; lra.
move=> k; rewrite /v (x_embed BOS) (_ : vsub _ _ = vscale (INR w) (x h k)); last by vec_ring.
by rewrite norm_scale Rabs_pos_eq; [apply: Rmult_le_compat_l; [lra | exact: x_short] | lra].
Qed.

(* A sum slot: the winners, the near losers. *)
Definition others (g : option 'I_(examples P)) : pred tok := fun t =>
  if t is At g' p then (g' == g) && (p != ord_max) && ~~ is_sum p else false.

Lemma others_card g : #|others g| = w.
Proof.
pose f (y : 'I_w) : tok := At g (inord y).
have yw (y : 'I_w) : (y < (n0 S).+1)%N.
  by apply: leq_trans (ltn_ord y) _; apply: leq_trans (leq_subr _ _) _.
rewrite -[RHS](card_ord w) -(card_image (f := f)); last first.
  by move=> a b [] /(congr1 val) /=; rewrite !inordK // => ?; apply: val_inj.
apply: eq_card => t; apply/idP/imageP => [|[y _ ->]]; last first.
  rewrite unfold_in /= eqxx /= /is_sum has_sum /= -val_eqE /= inordK //.
  have yw' := ltn_ord y; rewrite /w in yw'.
  have y1 : (y.+1 < n0 S)%N by move: yw'; rewrite ltn_subRL add1n.
  by rewrite !neq_ltn (ltn_trans (ltnSn y) y1) y1.
case: t => [|g' p] //;
  rewrite unfold_in /= /is_sum has_sum /= -val_eqE /= => /andP [/andP [/eqP -> pm] ps].
have p1 : (p < n0 S)%N by have := ltn_ord p; rewrite ltnS leq_eqVlt (negbTE pm).
have p2 : (p.+1 < n0 S)%N by rewrite ltn_neqAle ps.
have pw : (p < w)%N by rewrite /w ltn_subRL add1n.
by exists (Ordinal pw) => //; rewrite /f; congr At; apply: val_inj; rewrite /= inordK.
Qed.

Lemma sum_near_card g : (#|[pred t : tok | ~~ others g t & own g t]| <= 3)%N.
Proof.
apply: leq_trans (_ : #|[pred t : tok | t \in [:: BOS; At g ord_max; At g (inord w)]]| <= _)%N;
  last exact: card_size.
apply/subset_leq_card/subsetP => t; rewrite !inE => /andP [no ow].
case: t no ow => [|g' p] //= no /eqP E; move: no; rewrite E eqxx /=;
  case: (eqVneq p ord_max) => [-> | pm] /=.
  by rewrite eqxx ?orbT.
rewrite negbK /is_sum has_sum /= => /eqP pw.
have wp : w = p :> nat.
  by apply/eqP; rewrite -(eqn_add2r 1) subnK ?addn1 ?pw //; exact: ltnW.
suff -> : p = inord w by rewrite eqxx ?orbT.
by apply: val_inj; rewrite /= inordK wp.
Qed.

Lemma others_sum g p : is_sum p ->
  winners_mean (others g) v = filled P g p.
Proof.
move=> s; apply: functional_extensionality => i;
  rewrite /winners_mean others_card /v /vscale sum_scale /filled s.
rewrite -Rmult_assoc Rinv_l ?Rmult_1_l; last by lra.
rewrite (reindex_onto (fun p' => At g p' : tok) (fun t => if t is At _ p' then p' else ord_max)) /=;
  last first.
  by case=> [|g' p'] //= /andP [/andP [/eqP -> _] _].
apply: eq_big => p'; first by rewrite /others !eqxx /= andbT.
by move=> /andP [/andP [/andP [_ /negbTE pm] _] _]; rewrite /part /= pm.
Qed.

Lemma lift_sum g p : is_sum p ->
  norm (vsub (x a (At g p)) (filled P g p)) <= 2 * X_ * (3 * tau + nu).
Proof.
move=> s; set q : tok := At g p.
rewrite x_out x_sum // (_ : vadd vzero _ = head_output (scores hd h q) v); last by vec_ring.
rewrite -(others_sum g s).
have act : dot crow (h q) = 0 by rewrite cE /q s /=; ring.
have fX : norm (filled P g p) <= X_ by apply: (inputs_bounded wi); exact: sum_not_max.
have vX t : norm (v t) <= INR w * X_.
  by rewrite norm_scale Rabs_pos_eq; [apply: Rmult_le_compat_l; [lra | exact: x_short] | lra].
apply: Rle_trans (_ : INR 3 * tau / INR w * X_ + nu / INR w * (INR w * X_ + X_) <= _).
  have -> : INR 3 * tau / INR w * X_ + nu / INR w * (INR w * X_ + X_) =
      INR 3 * tau / INR #|others g| * X_ + nu / INR #|others g| * (INR w * X_ + X_)
        by rewrite others_card.
  apply: (@selection2 _ (scores hd h q) (T * INR (ebits S) + T) T nu (others g) (own g) 3).
  - exact: nu_ge.
  - case=> [|g' p'] //= /andP [/andP [/eqP -> pm] ns].
    by rewrite (active_in ex hdE act) wE /= pm (negbTE ns) /=; ring.
  - case=> [|g' p'] /= no; first by rewrite (active_bos ex hdE w_bos act); lra.
    move=> /eqP E; move: no; rewrite E eqxx (active_in ex hdE act) wE /=.
    by case: (p' != ord_max); case: (is_sum p') => //= _; lra.
  - case=> [|g' p'] //= _ gg.
    by apply: (active_out mm T_ge0 ex hdE w_le act); rewrite eq_sym.
  - by rewrite others_card /w subn_gt0.
  - exact: sum_near_card.
  - move=> t no ow; rewrite (others_sum g s).
    have -> : v t = vzero.
      rewrite /v; case: t no ow => [|g' p'] /= no; first by rewrite x_embed; move=> _; vec_ring.
      move=> /eqP E; rewrite (_ : x h _ = vzero); first by vec_ring.
      move: no; rewrite E eqxx /= x_embed; case: (p' == ord_max) => //=.
      by rewrite negbK => s'; apply: functional_extensionality => i; exact: (sums_blank wi g i s').
    by apply: Rle_trans (norm_sub_le _ _) _; rewrite norm0; lra.
  - move=> t no ow; rewrite (others_sum g s); apply: Rle_trans (norm_sub_le _ _) _.
    by have := vX t; lra.
  - exact: X_ge0.
  - by have : 0 <= INR w * X_ by [apply: Rmult_le_pos; lra]; lra.
have shrink z : 0 <= z -> z / INR w <= z.
  move=> z0; rewrite /Rdiv -{2}[z]Rmult_1_r; apply: Rmult_le_compat_l => //.
  by rewrite -Rinv_1; apply: Rinv_le_contravar; lra.
have tX : 0 <= tau * X_ by apply: Rmult_le_pos.
have nX : 0 <= nu * X_ by apply: Rmult_le_pos.
have A1 := shrink (3 * (tau * X_)); have A2 := shrink (nu * X_).
have -> : INR 3 * tau / INR w * X_ + nu / INR w * (INR w * X_ + X_) =
  3 * (tau * X_) / INR w + nu * X_ + nu * X_ / INR w by rewrite /=; field; lra.
lra.
Qed.
End WithSum.

(* x at every token. *)
Lemma lift_x t : norm (vsub (x a t) (exact_x t)) <= lifted S C.
Proof.
rewrite /lifted; case: ifP => [has_sum | no_sum]; last first.
  have -> : x a t = x h t.
    apply: functional_extensionality => i; rewrite /part /a /attend /lift_heads no_sum.
    by rewrite sum_first ?(some_task adm) // attention_idle Rplus_0_r.
  have -> : x h t = exact_x t.
    by case: t => [|g p]; [rewrite x_embed | rewrite x_plain // /is_sum no_sum].
  by rewrite (_ : vsub _ _ = vzero) ?norm0; [lra | vec_ring].
case: (boolP (if t is At _ p then is_sum p else false)) => s.
  case: t s => [|g p] //= s; apply: Rle_trans (Rmax_l _ _).
  by rewrite (negbTE (sum_not_max s)); exact: lift_sum.
apply: Rle_trans (Rmax_r _ _); have -> : exact_x t = x h t; last exact: lift_idle.
by case: t s => [|g p] s; [rewrite x_embed | rewrite x_plain].
Qed.

Lemma lift_x_rest t : ~~ is_inp t -> norm (x a t) <= lifted_rest S C.
Proof.
move=> ni; have E : x h t = vzero.
  by rewrite x_embed; case: t ni => [|g p] //=; rewrite negbK => ->.
rewrite /lifted_rest; case: ifP => [has_sum | no_sum].
  have ns : ~~ (if t is At _ p then is_sum p else false).
    by case: t ni {E} => [|g p] //=; rewrite negbK; apply: contraL => /sum_not_max.
  by have := lift_idle has_sum ns; rewrite E vsub_zero.
rewrite (_ : x a t = vzero) ?norm0; first by lra.
rewrite -E; apply: functional_extensionality => i; rewrite /part /a /attend /lift_heads no_sum.
by rewrite sum_first ?(some_task adm) // attention_idle Rplus_0_r.
Qed.

Lemma lift_x_bos : norm (x a BOS) <= lifted_bos S C.
Proof.
rewrite /lifted_bos; case: ifP => [has_sum | no_sum].
  by have := lift_bos has_sum; rewrite (x_embed BOS) vsub_zero.
have := @lift_x_rest BOS isT; rewrite /lifted_rest no_sum; lra.
Qed.

Lemma a_other t (c : coord) : (forall i, c != X i) -> a t c = h t c.
Proof.
move=> no; rewrite /a /attend /lift_heads sum_first ?(some_task adm) //.
by case: ifP => _; [rewrite attention_other | rewrite attention_idle]; rewrite ?Rplus_0_r.
Qed.

Theorem lift_lemma : after_lift C (run_layer (lift_layer S) h).
Proof.
have Fi : injective (@F S) by move=> i j [].
have lip : lipschitz (phi S) (feature_norm C).
  by have := features_bounded adm; rewrite /lipschitz; case: (phi S) => [|r B c] // [].
have fn0 := feature_norm_ge0 adm.
set h' := run_layer _ _.
have run t := features_run (@lift_heads S) h t (@XinvK S) (@XinvE S) Fi.
have keep t (c : coord) : (forall i, c != X i) -> (forall i, c != F i) -> h' t c = h t c.
  by move=> nx nf; have [E _] := run t; rewrite [h' t c]E //; exact: a_other.
have fE t : part fcoord h' t = raw (phi S) (x a t) (b2R (is_inp t)).
  apply: functional_extensionality => l; have [_ E] := run t.
  rewrite /part [h' t _]E; last by move=> i; exact: (a_other t (c := F i)).
  by congr (raw _ _ _ _); rewrite [LHS](a_other t (c := Inp)) // (h_inp ex).
have exE t : exact_f t = raw (phi S) (exact_x t) (b2R (is_inp t)) :> vec _.
  case: t => [|g p] /=; first by rewrite raw0.
  by case: (p == ord_max) => /=; [rewrite raw0 | rewrite raw1].
split.
- by apply: keep_flags ex => t c fl; apply: keep => i; apply: contraL fl => /eqP ->.
- move=> t; rewrite fE exE /E_f; apply: Rle_trans (raw_lipschitz _ _ _ lip) _.
  by apply: Rmult_le_compat_l => //; exact: lift_x.
- move=> t ni; rewrite fE (negbTE ni) /= /E_f_rest.
  have := @raw_lipschitz _ (phi S) _ (x a t) vzero 0 lip; rewrite raw0 !vsub_zero => H.
  by apply: Rle_trans H _; apply: Rmult_le_compat_l => //; exact: lift_x_rest.
- rewrite fE /= /E_f_bos.
  have := @raw_lipschitz _ (phi S) _ (x a BOS) vzero 0 lip; rewrite raw0 !vsub_zero => H.
  by apply: Rle_trans H _; apply: Rmult_le_compat_l => //; exact: lift_x_bos.
- move=> t; apply: functional_extensionality => i; rewrite /part keep //.
  by case: t => [|[j|] p] //=; case: ifP.
- by move=> t b; rewrite keep.
- by move=> t; rewrite keep.
- by move=> t; rewrite keep.
Qed.
End Lift.
