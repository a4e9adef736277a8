(* The gate of Fetch and Execute: which heads are open at which token, and what they then move.

   In words, in four parts.
   1. A token holds the code z = sum_i w_i c_i, and the gate of task i compares it with r_i. If one
      weight is within dv of 1 and the others are in [0, e], then <z, r_i> is at least 1 - zeta for
      the task of that weight and at most 1 - gap + zeta for every other (1 - 2 gap + zeta unless it
      is a neighbor), where zeta >= ct + dv (1 + ct) + e S and S bounds the longest sum of codes.
   2. BOS scores -thr + G (1 - <z, r_i>) + A (1 - ok) + B (1 - lab) in head i. Relative to
      a winner at 0 it is, at a committed label, at most -T in the own head, at least T in the heads
      of neighbors and at least 2T in all others; at any other token it is at least 2T in all.
      The gains are rounded, so only inequalities are assumed of them.
   3. K heads with such scores: at a committed label they add the value of the own head's target, up
      to (3 tau + 4 nu + K shut)(V + VB) + K VB; at any other token they add at most
      K (VB + shut (V + VB)). V bounds the values, and VB those of BOS, which all idle heads read;
      shut = exp(-2T) + N exp(-4T), because in a head that is shut BOS leads the target by 2T and
      all other keys by 4T.
   4. The gate's rows compute that score, and after Commit every token meets the conditions of 2. *)
From Theorem1 Require Import sums selection transformer stream prompt signs stages.
From Theorem1 Require Import codes longest_sum.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

(* 1. The error of the task code. *)
Section Zeta.
Variables (K : nat) (c r : 'I_K -> vec 'I_2) (near : 'I_K -> pred 'I_K) (gp ct longest : R).
Hypothesis good : good_codes c r near gp ct longest.
Variables (dv e zeta : R).
Hypotheses (dv0 : 0 <= dv) (e0 : 0 <= e) (zetaP : ct + dv * (1 + ct) + e * longest <= zeta).
Let ct0 : 0 <= ct := good_ct good.

Lemma mix_code (w : 'I_K -> R) u j : (forall i, 0 <= w i <= u) -> 0 <= u ->
  Rabs (dot (mix w c) (r j)) <= u * longest.
Proof.
move=> wu u0; rewrite dot_mix; case: (Req_dec u 0) => [uz | nz].
  rewrite big1 ?Rabs_R0 ?uz; first lra.
  by move=> i _; rewrite (_ : w i = 0); [lra | have := wu i; lra].
have i0 : 0 < / u by apply: Rinv_0_lt_compat; lra.
rewrite (eq_bigr (fun i => u * (w i / u * dot (c i) (r j)))); last by move=> i _; field.
rewrite sum_scale Rabs_mult Rabs_pos_eq //; apply: Rmult_le_compat_l => //.
apply: (good_sum good) => i; have [a b] := wu i.
split; first by apply: Rmult_le_pos; lra.
by apply: (Rmult_le_reg_r u); [lra | rewrite /Rdiv Rmult_assoc Rinv_l //; lra].
Qed.

(* One weight near 1, the others near 0. *)
Definition commits (w : 'I_K -> R) (i : 'I_K) : Prop :=
  [/\ 0 <= w i, Rabs (w i - 1) <= dv & forall k, k != i -> 0 <= w k <= e].

Variables (w : 'I_K -> R) (i : 'I_K).
Hypothesis wi : commits w i.

Let rest (j : 'I_K) : R := dot (mix (fun k => if k == i then 0 else w k) c) (r j).
Let rest_le j : - (e * longest) <= rest j <= e * longest.
Proof.
apply: Rabs_bounds; apply: mix_code => // k; case: eqP => [_ | /eqP ki]; first lra.
by case: wi => _ _; apply.
Qed.
Let split_code j : dot (mix w c) (r j) = w i * dot (c i) (r j) + rest j.
Proof.
rewrite /rest !dot_mix (bigD1 i) //= [X in _ = _ + X](bigD1 i) //= eqxx Rmult_0_l Rplus_0_l.
by congr (_ + _); apply: eq_bigr => k /negbTE ->.
Qed.
Let w_near x : Rabs x <= 1 + ct -> w i * x <= x + dv * (1 + ct).
Proof.
move=> x1; have [_ dw _] := wi.
have : (w i - 1) * x <= dv * (1 + ct); last by lra.
apply: Rle_trans (Rle_abs _) _; rewrite Rabs_mult.
by apply: Rmult_le_compat => //; exact: Rabs_pos.
Qed.

Lemma own_code : 1 - zeta <= dot (mix w c) (r i).
Proof.
have [_ dw _] := wi; have [r1 r2] := rest_le i; rewrite split_code.
have self := good_self good i; have size := good_dot good i i.
have : - (dv * (1 + ct)) <= (w i - 1) * dot (c i) (r i); last by lra.
apply: (Rabs_bounds _).1; rewrite Rabs_mult.
by apply: Rmult_le_compat => //; exact: Rabs_pos.
Qed.

Lemma other_code k : k != i -> dot (mix w c) (r k) <= 1 - gp + zeta.
Proof.
move=> ki; rewrite split_code; have [_ r2] := rest_le k.
by have := w_near (good_dot good i k); have := good_gap good ki; lra.
Qed.

Lemma far_code k : k != i -> ~~ near i k -> dot (mix w c) (r k) <= 1 - 2 * gp + zeta.
Proof.
move=> ki nk; rewrite split_code; have [_ r2] := rest_le k.
by have := w_near (good_dot good i k); have := good_far good ki nk; lra.
Qed.

Lemma any_code k : dot (mix w c) (r k) <= 1 + zeta.
Proof.
rewrite split_code; have [_ r2] := rest_le k.
by have := w_near (good_dot good i k); have [_ d] := Rabs_bounds (good_dot good i k); lra.
Qed.
End Zeta.

(* 2. The score of BOS. *)
Section Gate.
Variables T gp zeta thr G A B longest : R.
Hypotheses (T0 : 0 <= T) (zeta0 : 0 <= zeta) (G0 : 0 <= G) (B0 : 0 <= B).
Hypothesis open_own : T + G * zeta <= thr.
Hypothesis shut_others : thr + T <= G * (gp - zeta).
Hypothesis shut_abstained : thr + 2 * T <= A + G * (1 - longest).
Hypothesis shut_elsewhere : thr + 2 * T + G * zeta <= B.

Definition bos_score (zc ok lab : R) : R := - thr + G * (1 - zc) + A * (1 - ok) + B * (1 - lab).

Lemma opens_own zc : 1 - zeta <= zc -> bos_score zc 1 1 <= - T.
Proof. by rewrite /bos_score => H; nra. Qed.
Lemma shuts_neighbor zc : zc <= 1 - gp + zeta -> T <= bos_score zc 1 1.
Proof. by rewrite /bos_score => H; nra. Qed.
Lemma shuts_far zc : zc <= 1 - 2 * gp + zeta -> 2 * T <= bos_score zc 1 1.
Proof.
move=> H; have Gz : 0 <= G * zeta by apply: Rmult_le_pos.
have : G * (2 * gp - zeta) <= G * (1 - zc) by apply: Rmult_le_compat_l; lra.
by rewrite /bos_score; lra.
Qed.
Lemma shuts_abstained zc lab : zc <= longest -> lab <= 1 -> 2 * T <= bos_score zc 0 lab.
Proof.
move=> H l1; have : 0 <= B * (1 - lab) by apply: Rmult_le_pos; lra.
have : G * zc <= G * longest by apply: Rmult_le_compat_l.
by rewrite /bos_score; lra.
Qed.
Lemma shuts_elsewhere zc : zc <= 1 + zeta -> 2 * T <= bos_score zc 1 0.
Proof.
move=> H; have : G * zc <= G * (1 + zeta) by apply: Rmult_le_compat_l.
by rewrite /bos_score; lra.
Qed.
End Gate.

(* 3. K heads side by side that are gated by BOS. *)
Section Heads.
Variables (tok : finType) (bos : tok) (K : nat) (I : finType) (T nu shut V VB : R).
Variables (s : 'I_K -> tok -> R) (v : 'I_K -> tok -> vec I) (target : 'I_K -> tok).
Hypothesis T0 : 0 <= T.
Hypothesis longest_value : forall i k, norm (v i k) <= V.
Hypothesis bos_value : forall i, norm (v i bos) <= VB.
Hypothesis nu_ge : INR #|tok| * exp (- (2 * T)) <= nu.
Hypothesis shut_ge : tau_at (2 * T) + INR #|tok| * exp (- (2 * (2 * T))) <= shut.
Hypothesis target_top : forall i, target i != bos -> s i (target i) <= 0.
Hypothesis others_low : forall i k, k != bos -> k != target i -> s i k <= - (2 * T).
Let tau := tau_at T.

Definition moved : vec I := fun a => \sum_i head_output (s i) (v i) a.
Definition misplaced_weight : R := 3 * tau + 4 * nu + INR K * shut.

Let tau0 : 0 <= tau. Proof. exact/Rlt_le/exp_pos. Qed.
Let far0 t : 0 <= INR #|tok| * exp t.
Proof. by apply: Rmult_le_pos; [exact: pos_INR | exact/Rlt_le/exp_pos]. Qed.
Let nu0 : 0 <= nu. Proof. exact: Rle_trans (far0 _) nu_ge. Qed.
Let shut0 : 0 <= shut.
Proof.
by apply: Rle_trans shut_ge; have := far0 (- (2 * (2 * T))); have := tau_at_ge0 (2 * T); lra.
Qed.
Let V0 (i : 'I_K) : 0 <= V. Proof. exact: Rle_trans (norm_ge0 _) (longest_value i bos). Qed.
Let VB0 (i : 'I_K) : 0 <= VB. Proof. exact: Rle_trans (norm_ge0 _) (bos_value i). Qed.

(* A head where BOS leads its target by t, and every other key by 2 t. *)
Lemma bos_wins i t far : INR #|tok| * exp (- (2 * t)) <= far ->
  (target i != bos -> s i (target i) <= s i bos - t) ->
  (forall k, k != bos -> k != target i -> s i k <= s i bos - 2 * t) ->
  norm (head_output (s i) (v i)) <= VB + (tau_at t + far) * (V + VB).
Proof.
move=> far_ge near_t far_2t; set out := head_output _ _.
have -> : out = vadd (v i bos) (vsub out (v i bos)) by vec_ring.
apply: Rle_trans (norm_triangle _ _) _; apply: Rplus_le_compat; first exact: bos_value.
rewrite Rmult_plus_distr_r -[tau_at t]Rmult_1_l -[1]/(INR 1).
have step k : norm (vsub (v i k) (v i bos)) <= V + VB.
  by apply: Rle_trans (norm_sub_le _ _) _; apply: Rplus_le_compat.
have [v0 b0] := (V0 i, VB0 i).
apply: (@selection1 tok (s i) t far bos (pred1 (target i)) 1).
- exact: far_ge.
- by move=> k kb /eqP kt; rewrite kt in kb *; exact: near_t.
- exact: far_2t.
- by rewrite -(card1 (target i)); apply/subset_leq_card/subsetP => k; rewrite !inE => /andP [].
- by move=> k _ _; exact: step.
- by move=> k _ _; exact: step.
- lra.
- lra.
Qed.

(* A head that is shut: BOS stands at 2 T or more. *)
Lemma shut_head i : 2 * T <= s i bos ->
  norm (head_output (s i) (v i)) <= VB + shut * (V + VB).
Proof.
move=> sb; apply: Rle_trans (bos_wins (Rle_refl _) (t := 2 * T) _ _) _.
- by move=> tb; have := target_top tb; lra.
- by move=> k kb kt; have := others_low kb kt; lra.
- apply: Rplus_le_compat_l; apply: Rmult_le_compat_r; last exact: shut_ge.
  by have := V0 i; have := VB0 i; lra.
Qed.

Lemma norm_moved (P : pred 'I_K) (b : 'I_K -> R) :
  (forall i, P i -> norm (head_output (s i) (v i)) <= b i) ->
  norm (fun a => \sum_(i | P i) head_output (s i) (v i) a) <= \sum_(i | P i) b i.
Proof.
move=> H; rewrite (_ : (fun a => _) = fun a => \sum_(i | P i) 1 * head_output (s i) (v i) a).
  apply: Rle_trans (norm_sum _ _ _ _) _; apply: sum_le => i Pi.
  by rewrite Rabs_R1 Rmult_1_l; exact: H.
by apply: functional_extensionality => a; apply: eq_bigr => i _; rewrite Rmult_1_l.
Qed.

(* A token that is no committed label: all heads are shut. *)
Theorem all_shut : (forall i, 2 * T <= s i bos) ->
  norm moved <= INR K * (VB + shut * (V + VB)).
Proof.
move=> sb; apply: Rle_trans (norm_moved (b := fun=> VB + shut * (V + VB)) _) _ => [i _ | ].
  exact: shut_head.
by rewrite (sum_const xpredT) card_ord; lra.
Qed.

(* A label committed to task i: its own head reads its target, all other heads read BOS. *)
Variables (i : 'I_K) (near : pred 'I_K).
Hypothesis target_score : s i (target i) = 0.
Hypothesis own : s i bos <= - T.
Hypothesis neighbor : forall j, j != i -> T <= s j bos.
Hypothesis far : forall j, j != i -> ~~ near j -> 2 * T <= s j bos.
Hypothesis two_near : (#|near| <= 2)%N.

Lemma own_head : norm (vsub (head_output (s i) (v i)) (v i (target i))) <=
  tau * (V + VB) + nu * (2 * V).
Proof.
have [v0 b0] := (V0 i, VB0 i).
rewrite -[X in X * _ + _]Rmult_1_l -[1]/(INR 1).
apply: (@selection1 tok (s i) T nu (target i) (pred1 bos) 1).
- exact: nu_ge.
- by move=> k _ /eqP ->; rewrite target_score; lra.
- by move=> k kt kb; have := others_low kb kt; rewrite target_score; lra.
- by rewrite -(card1 bos); apply/subset_leq_card/subsetP => k; rewrite !inE => /andP [].
- move=> k _ /eqP ->; apply: Rle_trans (norm_sub_le _ _) _.
  by have := bos_value i; have := longest_value i (target i); lra.
- move=> k _ _; apply: Rle_trans (norm_sub_le _ _) _.
  by have := longest_value i k; have := longest_value i (target i); lra.
- lra.
- lra.
Qed.

Theorem one_open : norm (vsub moved (v i (target i))) <= misplaced_weight * (V + VB) + INR K * VB.
Proof.
have [v0 b0] := (V0 i, VB0 i).
pose b j := VB + ((if near j then tau + nu else 0) + shut) * (V + VB).
have vb : 0 <= V + VB by lra.
have shut_j j : j != i -> norm (head_output (s j) (v j)) <= b j.
  move=> ji; rewrite /b; case: ifP => [_ | /negbT nj]; last first.
    by rewrite Rplus_0_l; apply: shut_head; exact: far.
  apply: Rle_trans (bos_wins nu_ge _ _) _.
  - by move=> tb; have := target_top tb; have := neighbor ji; lra.
  - by move=> k kb kt; have := others_low kb kt; have := neighbor ji; lra.
  - by apply: Rplus_le_compat_l; apply: Rmult_le_compat_r => //; rewrite -/tau; lra.
set rest := fun a => \sum_(j | j != i) head_output (s j) (v j) a.
have -> : vsub moved (v i (target i)) =
          vadd (vsub (head_output (s i) (v i)) (v i (target i))) rest.
  apply: functional_extensionality => a.
  by rewrite /vsub /vadd /moved (bigD1 i) //= -/(rest a); lra.
apply: Rle_trans (norm_triangle _ _) _.
have R1 : norm rest <= \sum_(j | j != i) b j by apply: norm_moved.
have R2 : \sum_(j | j != i) b j <=
          INR K * VB + (2 * (tau + nu) + INR K * shut) * (V + VB).
  have pos j : 0 <= b j.
    have tn := Rplus_le_le_0_compat _ _ tau0 nu0.
    rewrite /b; have := Rmult_le_pos _ _ tn vb; have := Rmult_le_pos _ _ shut0 vb.
    by case: (near j); lra.
  apply: Rle_trans (_ : \sum_j b j <= _); first exact: (@sum_sub_le _ (fun j => j != i) xpredT).
  rewrite /b big_split /= (sum_const xpredT) card_ord.
  rewrite sum_scaler big_split /= (sum_const xpredT) card_ord.
  rewrite -big_mkcond /= sum_const; apply: Rplus_le_compat_l; apply: Rmult_le_compat_r => //.
  apply: Rplus_le_compat_r; apply: Rmult_le_compat_r; first lra.
  by rewrite -[2]/(INR 2); apply/le_INR/leP.
have O := own_head; rewrite /misplaced_weight.
have : nu * (2 * V) <= 2 * nu * (V + VB) by nra.
lra.
Qed.
End Heads.

(* 4. The gate in the weights of Fetch and Execute. *)
Section Weights.
Variables (S : spec) (C : consts) (P : prompt S).
Hypothesis adm : admissible S C.
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation dv := (2 * tau S + stray S C).
Variable h : stream coord tok.
Hypothesis ex : exact_flags h.
Variable mass : tok -> 'I_(K S) -> R.
Hypothesis z_mass : forall t a, h t (Z a) = \sum_i mass t i * code_of i a.
Hypothesis mass_yes : forall t i, verdict C t i -> 1 - dv <= mass t i <= 1 + stray S C.
Hypothesis mass_no : forall t i, ~~ verdict C t i -> 0 <= mass t i <= stray S C.
Hypothesis ok_committed : forall t, h t Ok = b2R (committed C t).

Definition gate_at (i : 'I_(K S)) (t : tok) : R :=
  bos_score (threshold S) (G S) (abstain S) (elsewhere S)
    (dot (mix (mass t) (@code_of S)) (read_code_of i)) (b2R (committed C t)) (b2R (is_lab t)).

Lemma gate_score i q k : score (gate i) (h q) (h k) = gate_at i q * b2R (is_bos k).
Proof.
rewrite /gate !score_tcat !score_row !dotZl !dotBl !dot_delta.
rewrite (dot_read_row _ _ (@ZinvK S) (@ZinvE S)) (h_one ex) (h_bos ex) (h_lab ex) ok_committed.
rewrite dotC (_ : (fun a => h q (Z a)) = mix (mass q) (@code_of S)); last first.
  by apply: functional_extensionality => a; rewrite z_mass.
by rewrite /gate_at /bos_score; lra.
Qed.

Let good := stored_good adm.
Let s0 : 0 <= stray S C := stray_ge0 S C.
Let dv0 : 0 <= dv. Proof. by have := tau_at_ge0 (T S); rewrite /tau; have := s0; lra. Qed.

Lemma dv_small : dv <= 1 / 4.
Proof.
have := plateau_top adm; have : 1 <= INR (minn (K S) 2).
  by rewrite -[1]/(INR 1); apply/le_INR/leP; rewrite leq_min (some_task adm).
by have := dv0; nra.
Qed.

Lemma mass_range t i : 0 <= mass t i <= 1 + stray S C.
Proof.
case: (boolP (verdict C t i)) => [yes | no]; last by have := mass_no no; lra.
by have := mass_yes yes; have := dv_small; lra.
Qed.

Let longest0 : 0 <= longest S C.
Proof.
apply: Rle_trans (Rabs_pos _) (good_sum good (w := fun=> 0) _ (Ordinal (some_task adm))) => i; lra.
Qed.
Lemma zeta_ge0 : 0 <= zeta S C.
Proof.
have ct := good_ct good; have := Rmult_le_pos _ _ s0 longest0.
by have := Rmult_le_pos _ _ dv0 (Rplus_le_le_0_compat _ _ Rle_0_1 ct); rewrite /zeta; lra.
Qed.

Lemma committed_mass t i : committed C t -> verdict C t i -> commits dv (stray S C) (mass t) i.
Proof.
move=> ct vi; split; [by have := mass_range t i; lra | | move=> k ki; apply: mass_no].
  have := mass_yes vi; have := tau_at_ge0 (T S); rewrite /tau => t0 m01.
  by apply: Rabs_of_bounds; split; lra.
have /card1P [i0 only] := ct.
have vE l : verdict C t l = (l == i0) := only l.
by apply: contra ki; move: vi; rewrite !vE => /eqP -> /eqP ->.
Qed.

Let T0 : 0 <= T_gate C := T_gate_ge0 adm.
Let G0 : 0 <= G S := G_ge0 adm.
Let B0 : 0 <= elsewhere S := elsewhere_ge0 adm.

Lemma own_open t i : committed C t -> is_lab t -> verdict C t i -> gate_at i t <= - T_gate C.
Proof.
move=> ct lt vi; rewrite /gate_at ct lt; have cm := committed_mass ct vi.
apply: (opens_own _ _ G0 (gate_own adm)).
exact: (own_code good s0 (Rle_refl _) cm).
Qed.

Lemma others_shut t i k : committed C t -> is_lab t -> verdict C t i -> k != i ->
  T_gate C <= gate_at k t.
Proof.
move=> ct lt vi ki; rewrite /gate_at ct lt; have cm := committed_mass ct vi.
apply: (shuts_neighbor _ _ G0 (gate_neighbor adm)).
exact: (other_code good s0 (Rle_refl _) cm ki).
Qed.

Lemma far_shut t i k : committed C t -> is_lab t -> verdict C t i -> k != i -> ~~ neighbors i k ->
  2 * T_gate C <= gate_at k t.
Proof.
move=> ct lt vi ki nk; rewrite /gate_at ct lt; have cm := committed_mass ct vi.
apply: (shuts_far _ _ T0 zeta_ge0 G0 (gate_own adm) (gate_neighbor adm)).
exact: (far_code good s0 (Rle_refl _) cm ki nk).
Qed.

(* A token that is no committed label. *)
Lemma idle_shut t k : ~~ (committed C t && is_lab t) -> 2 * T_gate C <= gate_at k t.
Proof.
rewrite /gate_at; case ct : (committed C t) => /=; last first.
  move=> _; apply: (shuts_abstained G0 B0 (gate_abstained adm)); last first.
    by case: (is_lab t) => /=; lra.
  have := mix_code good k (mass_range t) (ltac:(have := s0; lra)).
  by have := Rle_abs (dot (mix (mass t) (@code_of S)) (read_code_of k)); lra.
move=> /negbTE -> /=; apply: (shuts_elsewhere _ G0 (gate_elsewhere adm)).
have /card1P [i only] := ct; have vi : verdict C t i by have := only i; rewrite !inE eqxx.
exact: (any_code good s0 (Rle_refl _) (committed_mass ct vi)).
Qed.
End Weights.
