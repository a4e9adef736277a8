(* Finite sums of real numbers over finite types, and vectors with the Euclidean norm:
   Cauchy-Schwarz, the triangle inequality, and the norm of a weighted sum. Base: Stdlib's
   reals, so that lra, nra and field work, and mathcomp's big operators. *)
From Theorem1 Require Export statement.
Require Export Lra Psatz FunctionalExtensionality.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Canonical Rplus_monoid := Monoid.Law (fun x y z => esym (Rplus_assoc x y z)) Rplus_0_l Rplus_0_r.
Canonical Rplus_comoid := Monoid.ComLaw Rplus_comm.
Canonical Rmult_monoid := Monoid.Law (fun x y z => esym (Rmult_assoc x y z)) Rmult_1_l Rmult_1_r.
Canonical Rmult_muloid := Monoid.MulLaw Rmult_0_l Rmult_0_r.
Canonical Rplus_addoid := Monoid.AddLaw Rmult_plus_distr_r Rmult_plus_distr_l.

Lemma Rdiv_1 x : x / 1 = x. Proof. by field. Qed.

Lemma Rabs_bounds x y : Rabs x <= y -> - y <= x <= y.
Proof. by rewrite /Rabs; case: Rcase_abs => *; lra. Qed.
Lemma Rabs_of_bounds x y : - y <= x <= y -> Rabs x <= y.
Proof. by rewrite /Rabs; case: Rcase_abs => *; lra. Qed.

Section Sums.
Variables (I : Type) (r : seq I) (P : pred I).
Implicit Types (F G : I -> R) (c : R).

Lemma sum_le F G : (forall i, P i -> F i <= G i) ->
  \sum_(i <- r | P i) F i <= \sum_(i <- r | P i) G i.
Proof. by move=> H; elim/big_ind2: _ => // *; lra. Qed.

Lemma sum_ge0 F : (forall i, P i -> 0 <= F i) -> 0 <= \sum_(i <- r | P i) F i.
Proof. by move=> H; elim/big_ind: _ => // *; lra. Qed.

Lemma sum_opp F : \sum_(i <- r | P i) - F i = - \sum_(i <- r | P i) F i.
Proof. by elim/big_rec2: _ => [|i u v _ ->]; lra. Qed.

Lemma sum_sub F G : \sum_(i <- r | P i) (F i - G i) = \sum_(i <- r | P i) F i - \sum_(i <- r | P i)
  G i.
Proof. by rewrite big_split /= sum_opp. Qed.

Lemma sum_scale c F : \sum_(i <- r | P i) (c * F i) = c * \sum_(i <- r | P i) F i.
Proof. by rewrite -big_distrr. Qed.

Lemma sum_scaler c F : \sum_(i <- r | P i) (F i * c) = (\sum_(i <- r | P i) F i) * c.
Proof. by rewrite -big_distrl. Qed.

Lemma sum_abs F : Rabs (\sum_(i <- r | P i) F i) <= \sum_(i <- r | P i) Rabs (F i).
Proof.
elim/big_rec2: _ => [|i u v _ H]; first by rewrite Rabs_R0; lra.
by apply: Rle_trans (Rabs_triang _ _) _; lra.
Qed.
End Sums.

Section FinSums.
Variable I : finType.
Implicit Types (F : I -> R) (P Q : pred I).

Lemma sum_const P (c : R) : \sum_(i | P i) c = INR #|P| * c.
Proof.
rewrite big_const; elim: #|P| => [|n IH]; first by rewrite /=; lra.
by rewrite iterS IH S_INR; lra.
Qed.

Lemma sum_pick j F : (forall i, i != j -> F i = 0) -> \sum_i F i = F j.
Proof. by move=> H; rewrite (bigD1 j) //= big1 ?Rplus_0_r. Qed.

Lemma sum_delta j F : \sum_i (if i == j then F i else 0) = F j.
Proof. by rewrite (sum_pick (j := j)) ?eqxx // => i /negbTE ->. Qed.

Lemma sum_eq0 F : (forall i, 0 <= F i) -> \sum_i F i = 0 -> forall i, F i = 0.
Proof.
move=> H; move=> S i; move: S; rewrite (bigD1 i) //=.
have := H i; have := @sum_ge0 _ (index_enum I) (fun k => k != i) F (fun i _ => H i); lra.
Qed.

Lemma sum_sub_le P Q F : (forall i, 0 <= F i) -> (forall i, P i -> Q i) ->
  \sum_(i | P i) F i <= \sum_(i | Q i) F i.
Proof.
move=> H PQ; rewrite big_mkcond [X in _ <= X]big_mkcond; apply: sum_le => i _.
by case E: (P i); [rewrite (PQ _ E); lra | case: (Q i); [exact: H | lra]].
Qed.
End FinSums.

(* Vectors: functions of a finite type of coordinates. *)
Section Vectors.
Variable I : finType.
Implicit Types u v w : vec I.
Lemma dotC u v : dot u v = dot v u.
Proof. by apply: eq_bigr => i _; rewrite Rmult_comm. Qed.
Lemma dotDl u v w : dot (vadd u v) w = dot u w + dot v w.
Proof. by rewrite /dot -big_split; apply: eq_bigr => i _ /=; rewrite /vadd; lra. Qed.
Lemma dotBl u v w : dot (vsub u v) w = dot u w - dot v w.
Proof. by rewrite /dot -sum_sub; apply: eq_bigr => i _ /=; rewrite /vsub; lra. Qed.
Lemma dotZl c u v : dot (vscale c u) v = c * dot u v.
Proof. by rewrite /dot -sum_scale; apply: eq_bigr => i _; rewrite /vscale; lra. Qed.
Lemma dot0l v : dot (@vzero I) v = 0.
Proof. by apply: big1 => i _; rewrite /vzero; lra. Qed.
Lemma dotDr u v w : dot w (vadd u v) = dot w u + dot w v. Proof. by rewrite !(dotC w) dotDl. Qed.
Lemma dotBr u v w : dot w (vsub u v) = dot w u - dot w v. Proof. by rewrite !(dotC w) dotBl. Qed.
Lemma dotZr c u v : dot u (vscale c v) = c * dot u v. Proof. by rewrite !(dotC u) dotZl. Qed.
Lemma dot_ge0 v : 0 <= dot v v.
Proof. by apply: sum_ge0 => i _; nra. Qed.
Lemma norm_ge0 v : 0 <= norm v. Proof. exact: sqrt_pos. Qed.
Lemma norm_sq v : norm v * norm v = dot v v. Proof. exact/sqrt_sqrt/dot_ge0. Qed.

Lemma cauchy_schwarz u v : Rabs (dot u v) <= norm u * norm v.
Proof.
have Nu := norm_ge0 u; have Nv := norm_ge0 v; have Su := norm_sq u; have Sv := norm_sq v.
case: (Req_dec (norm v) 0) => [N0 | Nn0].
  have Z : forall i, v i * v i = 0.
    by apply: sum_eq0 => [i|]; [nra | move: Sv; rewrite N0 /dot; lra].
  rewrite /dot big1 ?Rabs_R0; first by nra.
  by move=> i _; case/Rmult_integral: (Z i) => ->; lra.
have := dot_ge0 (vsub (vscale (dot v v) u) (vscale (dot u v) v)).
rewrite !(dotBl, dotBr, dotZl, dotZr) [dot v u]dotC -Su -Sv => H.
have V2 : 0 < norm v * norm v by nra.
have K : dot u v * dot u v <= (norm u * norm v) * (norm u * norm v).
  apply: (Rmult_le_reg_l (norm v * norm v)) => //; nra.
apply: Rsqr_incr_0_var; last by nra.
by rewrite -Rsqr_abs /Rsqr.
Qed.

Lemma norm_triangle u v : norm (vadd u v) <= norm u + norm v.
Proof.
have Nu := norm_ge0 u; have Nv := norm_ge0 v; have Nw := norm_ge0 (vadd u v).
have C := cauchy_schwarz u v; have A := Rle_abs (dot u v).
apply: Rsqr_incr_0_var; last by lra.
rewrite /Rsqr norm_sq !(dotDl, dotDr) [dot v u]dotC; have := norm_sq u; have := norm_sq v; nra.
Qed.

Lemma norm_scale c v : norm (vscale c v) = Rabs c * norm v.
Proof.
rewrite /norm dotZl dotZr -Rmult_assoc sqrt_mult; [|by nra|exact: dot_ge0].
by rewrite -/(Rsqr c) sqrt_Rsqr_abs.
Qed.

Lemma norm0 : norm (@vzero I) = 0.
Proof. by rewrite /norm dot0l sqrt_0. Qed.

Lemma norm_sub_sym u v : norm (vsub u v) = norm (vsub v u).
Proof.
have -> : vsub u v = vscale (-1) (vsub v u) by apply: functional_extensionality => i;
  rewrite /vsub /vscale; lra.
by rewrite norm_scale Rabs_Ropp Rabs_R1; lra.
Qed.

Lemma norm_sub_triangle u v w : norm (vsub u w) <= norm (vsub u v) + norm (vsub v w).
Proof.
have -> : vsub u w = vadd (vsub u v) (vsub v w) by apply: functional_extensionality => i;
  rewrite /vsub /vadd; lra.
exact: norm_triangle.
Qed.

Lemma norm_sub_le u v : norm (vsub u v) <= norm u + norm v.
Proof.
have -> : vsub u v = vadd u (vscale (-1) v) by apply: functional_extensionality => i;
  rewrite /vsub /vadd /vscale; lra.
by have := norm_triangle u (vscale (-1) v); rewrite norm_scale Rabs_Ropp Rabs_R1; lra.
Qed.

Lemma norm_coord v i : Rabs (v i) <= norm v.
Proof.
apply: Rsqr_incr_0_var; last exact: norm_ge0.
rewrite -Rsqr_abs /Rsqr norm_sq /dot (bigD1 i) //=.
have : 0 <= \sum_(k | k != i) v k * v k by apply: sum_ge0 => k _; nra.
lra.
Qed.

(* A coordinatewise smaller vector is shorter, and a vector near a short one is short. *)
Lemma norm_le_coord u v : (forall i, Rabs (u i) <= Rabs (v i)) -> norm u <= norm v.
Proof. by move=> uv; apply: sqrt_le_1_alt; apply: sum_le => i _; exact: Rsqr_le_abs_1 (uv i). Qed.

Lemma norm_near u v a b : norm (vsub u v) <= a -> norm v <= b -> norm u <= a + b.
Proof.
move=> uv vb; have -> : u = vadd (vsub u v) v.
  by apply: functional_extensionality => i; rewrite /vadd /vsub; lra.
by apply: Rle_trans (norm_triangle _ _) _; apply: Rplus_le_compat.
Qed.

(* Weighted sums of vectors. *)
Definition wsum (K : finType) (a : K -> R) (v : K -> vec I) : vec I := fun i => \sum_k a k * v k i.

Lemma norm_sum (K : Type) (r : seq K) (P : pred K) (a : K -> R) (v : K -> vec I) :
  norm (fun i => \sum_(k <- r | P k) a k * v k i) <= \sum_(k <- r | P k) Rabs (a k) * norm (v k).
Proof.
elim: r => [|k r IH].
  rewrite big_nil (_ : (fun i => _) = @vzero I) ?norm0; first by lra.
  by apply: functional_extensionality => i; rewrite big_nil.
rewrite big_cons; case E: (P k); last first.
  by rewrite (_ : (fun i => _) = fun i => \sum_(k <- r | P k) a k * v k i) //;
    apply: functional_extensionality => i; rewrite big_cons E.
rewrite (_ : (fun i => _) = vadd (vscale (a k) (v k)) (fun i => \sum_(k <- r | P k) a k * v k i));
  last first.
  by apply: functional_extensionality => i; rewrite big_cons E.
by apply: Rle_trans (norm_triangle _ _) _; rewrite norm_scale; lra.
Qed.
End Vectors.

Lemma apply_sub (I : Type) (J : finType) (A : mat I J) u v :
  apply A (vsub u v) = vsub (apply A u) (apply A v).
Proof. by apply: functional_extensionality => j; rewrite /vsub /apply !(dotC (A j)) dotBl. Qed.
Lemma apply_zero (I : Type) (J : finType) (A : mat I J) : apply A vzero = vzero.
Proof. by apply: functional_extensionality => j; rewrite /apply dotC dot0l. Qed.

(* Equalities of vectors, coordinate by coordinate. *)
Ltac vec_ring := apply: functional_extensionality => ?; rewrite /vadd /vsub /vscale /vzero; ring.
Lemma vsub_zero (I : Type) (u : vec I) : vsub u vzero = u.
Proof. by vec_ring. Qed.

Lemma b2R_01 x : 0 <= b2R x <= 1. Proof. by case: x => /=; lra. Qed.
