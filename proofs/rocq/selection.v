(* Lemma 0 (selection): what a softmax head moves when its winners tie and beat every other key by
   T. *)
From Theorem1 Require Import sums.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Softmax.
Variable K : finType.
Implicit Type s : K -> R.
Definition partition s := \sum_k exp (s k).
Lemma softmaxE s k : softmax s k = exp (s k) / partition s. Proof. by []. Qed.

Lemma partition_gt0 s (k : K) : 0 < partition s.
Proof.
rewrite /partition (bigD1 k) //=; have := exp_pos (s k).
have : 0 <= \sum_(i | i != k) exp (s i) by apply: sum_ge0 => i _; exact/Rlt_le/exp_pos.
lra.
Qed.

Lemma softmax_ge0 s k : 0 <= softmax s k.
Proof. by apply: Rmult_le_pos;
  [exact/Rlt_le/exp_pos | apply/Rlt_le/Rinv_0_lt_compat/(partition_gt0 _ k)]. Qed.

Lemma softmax_sum1 s (k : K) : \sum_i softmax s i = 1.
Proof. by rewrite /softmax /Rdiv sum_scaler; apply: Rinv_r; have := partition_gt0 s k;
  rewrite /partition; lra. Qed.
End Softmax.

(* W the winners, A the losers that may be near; c the winners' score. *)
Section Selection.
Variables (K : finType) (s : K -> R) (c T nu : R) (W A : pred K) (a : nat).
Hypothesis nu_ge : INR #|K| * exp (- (2 * T)) <= nu.
Hypothesis win : forall k, W k -> s k = c.
Hypothesis near : forall k, ~~ W k -> A k -> s k <= c - T.
Hypothesis far : forall k, ~~ W k -> ~~ A k -> s k <= c - 2 * T.
Hypothesis some : (0 < #|W|)%N.
Hypothesis few : (#|[pred k | ~~ W k & A k]| <= a)%N.
Let w := INR #|W|.
Let Z := partition s.
Let tau := tau_at T.

Let w1 : 1 <= w. Proof. by rewrite -[1]/(INR 1); apply/le_INR/leP. Qed.
Let winner : {k | W k}. Proof. by move: some => /card_gt0P/sigW [k Wk]; exists k. Qed.

Let Zw : w * exp c <= Z.
Proof.
rewrite /Z /partition (bigID W) /= -(sum_const W (exp c)).
have -> : \sum_(i | W i) exp (s i) = \sum_(i | W i) exp c by apply: eq_bigr => i /win ->.
have F : 0 <= \sum_(i | ~~ W i) exp (s i) by apply: sum_ge0 => i _; exact/Rlt_le/exp_pos.
lra.
Qed.

Lemma softmax_behind k g : s k <= c - g -> softmax s k <= exp (- g) / w.
Proof.
move=> H; rewrite /softmax -/Z.
have E : exp (s k) <= exp (- g) * exp c.
  rewrite -exp_plus; case: H => [H|->]; [left; apply: exp_increasing; lra | right; congr exp; lra].
have := exp_pos c; have := exp_pos (- g) => g0 c0.
have Z0 : 0 < Z by have := Zw; nra.
apply: (Rmult_le_reg_r (Z * w)); first by nra.
have -> : exp (s k) / Z * (Z * w) = exp (s k) * w by field; lra.
have -> : exp (- g) / w * (Z * w) = exp (- g) * Z by field; lra.
have := Zw; nra.
Qed.

Lemma near_weight : \sum_(k | ~~ W k && A k) softmax s k <= INR a * tau / w.
Proof.
apply: Rle_trans (_ : \sum_(k | ~~ W k && A k) tau / w <= _).
  by apply: sum_le => k /andP [Wk Ak]; apply/softmax_behind/near.
rewrite sum_const; have := exp_pos (- T); rewrite -/(tau_at T) -/tau => t0.
have : INR #|[pred k | ~~ W k & A k]| <= INR a by apply/le_INR/leP.
move=> H; rewrite /Rdiv [X in _ <= X]Rmult_assoc; apply: Rmult_le_compat_r => //.
by apply/Rlt_le/Rdiv_lt_0_compat; lra.
Qed.

Lemma far_weight : \sum_(k | ~~ W k && ~~ A k) softmax s k <= nu / w.
Proof.
apply: Rle_trans (_ : \sum_(k | ~~ W k && ~~ A k) exp (- (2 * T)) / w <= _).
  by apply: sum_le => k /andP [Wk Ak]; apply/softmax_behind/far.
rewrite sum_const; have e0 := exp_pos (- (2 * T)).
have k0 : INR #|[pred k | ~~ W k & ~~ A k]| <= INR #|K| by apply/le_INR/leP/max_card.
have H : INR #|[pred k | ~~ W k & ~~ A k]| * exp (- (2 * T)) <= nu.
  by apply: Rle_trans nu_ge; apply: Rmult_le_compat_r; lra.
rewrite /Rdiv -Rmult_assoc; apply: Rmult_le_compat_r => //.
by apply/Rlt_le/Rinv_0_lt_compat; lra.
Qed.

(* Lemma 0, first half: the weights of the losers. *)
Theorem losers_weight : \sum_(k | ~~ W k) softmax s k <= (INR a * tau + nu) / w.
Proof.
rewrite (bigID A) /=; have := near_weight; have := far_weight.
have -> : (INR a * tau + nu) / w = INR a * tau / w + nu / w by field; lra.
lra.
Qed.

Lemma winner_weight k : W k -> softmax s k = (1 - \sum_(j | ~~ W j) softmax s j) / w.
Proof.
move=> Wk; have S := softmax_sum1 s k; move: S; rewrite (bigID W) /= => S.
have E j : W j -> softmax s j = softmax s k by move=> Wj; rewrite /softmax (win Wj) (win Wk).
move: S; rewrite (eq_bigr _ E) sum_const -/w => S.
have -> : 1 - \sum_(j | ~~ W j) softmax s j = w * softmax s k by lra.
by field; lra.
Qed.

Section Output.
Variables (I : finType) (v : K -> vec I).
Definition head_output : vec I := wsum (softmax s) v.
Definition winners_mean : vec I := fun i => / w * \sum_(k | W k) v k i.

Lemma output_split i :
  head_output i - winners_mean i = \sum_(k | ~~ W k) softmax s k * (v k i - winners_mean i).
Proof.
rewrite /head_output /wsum (bigID W) /=.
have -> : \sum_(k | ~~ W k) softmax s k * (v k i - winners_mean i) =
          \sum_(k | ~~ W k) softmax s k * v k i - (\sum_(k | ~~ W k) softmax s k) * winners_mean i.
  by rewrite -sum_scaler -sum_sub; apply: eq_bigr => k _; lra.
have -> : \sum_(k | W k) softmax s k * v k i = (1 - \sum_(j | ~~ W j) softmax s j) * winners_mean i.
  rewrite /winners_mean -Rmult_assoc -/(Rdiv _ _) -sum_scale.
  by apply: eq_bigr => k Wk; rewrite (winner_weight Wk).
lra.
Qed.

(* The finer form that the seven lemmas use: near losers and far ones hold values of different
   size. *)
Theorem selection2 (Mn Mf : R) :
  (forall k, ~~ W k -> A k -> norm (vsub (v k) winners_mean) <= Mn) ->
  (forall k, ~~ W k -> ~~ A k -> norm (vsub (v k) winners_mean) <= Mf) ->
  0 <= Mn -> 0 <= Mf ->
  norm (vsub head_output winners_mean) <= INR a * tau / w * Mn + nu / w * Mf.
Proof.
move=> Hn Hf n0 f0.
have -> : vsub head_output winners_mean = fun i => \sum_(k | ~~ W k) softmax s k * vsub
  (v k) winners_mean i.
  by apply: functional_extensionality => i; rewrite /vsub output_split.
apply: Rle_trans (norm_sum _ _ _ _) _; rewrite (bigID A) /=.
have abs k : Rabs (softmax s k) = softmax s k by apply/Rabs_pos_eq/softmax_ge0.
apply: Rplus_le_compat.
  apply: Rle_trans (_ : \sum_(k | ~~ W k && A k) softmax s k * Mn <= _).
    apply: sum_le => k /andP [Wk Ak]; rewrite abs; apply: Rmult_le_compat_l;
      [exact: softmax_ge0 | exact: Hn].
  by rewrite sum_scaler; apply: Rmult_le_compat_r => //; exact: near_weight.
apply: Rle_trans (_ : \sum_(k | ~~ W k && ~~ A k) softmax s k * Mf <= _).
  apply: sum_le => k /andP [Wk Ak]; rewrite abs; apply: Rmult_le_compat_l;
    [exact: softmax_ge0 | exact: Hf].
by rewrite sum_scaler; apply: Rmult_le_compat_r => //; exact: far_weight.
Qed.

(* Lemma 0, second half. *)
Theorem selection (M : R) : 0 <= M -> (forall k, ~~ W k -> norm (vsub (v k) winners_mean) <= M) ->
  norm (vsub head_output winners_mean) <= (INR a * tau + nu) / w * M.
Proof.
move=> M0 H; have H0 := @selection2 M M (fun k Wk _ => H k Wk) (fun k Wk _ => H k Wk) M0 M0.
have <- : INR a * tau / w * M + nu / w * M = (INR a * tau + nu) / w * M by field; lra.
exact: H0.
Qed.
End Output.
End Selection.

(* One winner. *)
Lemma single_mean (K I : finType) (v : K -> vec I) t : winners_mean (pred1 t) v = v t.
Proof. by apply: functional_extensionality => i; rewrite /winners_mean card1 big_pred1_eq /=; field.
Qed.

Theorem selection1 (K : finType) (s : K -> R) (T nu : R) (t : K) (A : pred K) (a : nat)
    (I : finType) (v : K -> vec I) (Mn Mf : R) :
  INR #|K| * exp (- (2 * T)) <= nu ->
  (forall k, k != t -> A k -> s k <= s t - T) ->
  (forall k, k != t -> ~~ A k -> s k <= s t - 2 * T) ->
  (#|[pred k | k != t & A k]| <= a)%N ->
  (forall k, k != t -> A k -> norm (vsub (v k) (v t)) <= Mn) ->
  (forall k, k != t -> ~~ A k -> norm (vsub (v k) (v t)) <= Mf) -> 0 <= Mn -> 0 <= Mf ->
  norm (vsub (head_output s v) (v t)) <= INR a * tau_at T * Mn + nu * Mf.
Proof.
move=> nu_ge near far few Hn Hf n0 f0.
have := @selection2 K s (s t) T nu (pred1 t) A a nu_ge _ near far _ few _ v Mn Mf.
rewrite single_mean card1 /= !Rdiv_1; apply=> //; by move=> k /eqP ->.
Qed.

(* One winner, and every other key at least 2T behind: what a head that idles on its sink t moves.
   *)
Theorem selection0 (K : finType) (s : K -> R) (T nu : R) (t : K) (I : finType) (v : K -> vec I) M :
  INR #|K| * exp (- (2 * T)) <= nu -> (forall k, k != t -> s k <= s t - 2 * T) ->
  (forall k, k != t -> norm (vsub (v k) (v t)) <= M) -> 0 <= M ->
  norm (vsub (head_output s v) (v t)) <= nu * M.
Proof.
move=> nu_ge far H M0.
have := @selection1 K s T nu t pred0 0 I v 0 M nu_ge _ (fun k kt _ => far k kt) _ _
  (fun k kt _ => H k kt).
have -> : INR 0 * tau_at T * 0 + nu * M = nu * M by rewrite /=; ring.
apply=> //; last by lra.
by rewrite eq_card0 // => k; rewrite inE andbF.
Qed.
