(* An example, to see that the hypotheses can be met and what the theorem says: numbers (d = 1), two
   tasks, x and x + 1, and a prompt of two examples, 0 -> 0 and 0 -> 1, and the query 0. Each task
   explains one example, so the superposition is (0 + 1)/2, and for any eps there is a transformer
   of seven layers with two heads each that answers 1/2 up to eps. *)
From Theorem1 Require Import sums stream codes longest_sum theorem1 existence.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Definition add (i : 'I_2) : task 1 1 1 := Task ord0 (fun _ _ => 1) (fun _ => INR i).

Section Example.
Variables T beta T0 P2 raise G th ab el : R.
Let S := @with_gains 1 (Identity 1) 2 2 1 false add T beta T0 P2 raise G th ab el.
Definition two_examples : prompt S := @Prompt S 2 (fun _ _ _ => 0) (fun j _ => INR j).

Lemma norm1 (v : vec 'I_1) : norm v = Rabs (v ord0).
Proof.
rewrite /norm /dot big_ord_recl big_ord0 Rplus_0_r.
by rewrite -sqrt_Rsqr_abs /Rsqr.
Qed.

Lemma output_value i g p a : output two_examples i g p a = INR i.
Proof. by rewrite /output /vadd /apply /dot big_ord_recl big_ord0 /filled /=; lra. Qed.

Lemma explains_same (i j : 'I_2) : explains two_examples (1 / 4) i j = (i == j).
Proof.
rewrite /explains norm1 /vsub /perform output_value /=.
case: eqP => [-> | ne].
  by rewrite Rminus_diag_eq // Rabs_R0; case: Rle_dec => // H; exfalso; lra.
have : Rabs (INR i - INR j) = 1.
  move: ne; case: i => [[|[|i]] ?] //; case: j => [[|[|j]] ?] //= ne.
  - by case: ne; apply: val_inj.
  - by rewrite Rabs_left; lra.
  - by rewrite Rabs_pos_eq; lra.
  - by case: ne; apply: val_inj.
by move=> ->; case: Rle_dec => // H; exfalso; lra.
Qed.

Lemma each_once i : share two_examples (1 / 4) i = 1%N.
Proof.
rewrite /share -(card1 i); apply: eq_card => j; rewrite !inE explains_same eq_sym.
case: eqP => [-> | //]; apply/forallP => k; apply/implyP; by rewrite explains_same.
Qed.

Lemma half_half a : superposition two_examples (1 / 4) a = 1 / 2.
Proof.
rewrite /superposition /total.
have sum2 (F : 'I_2 -> R) : \sum_i F i = F ord0 + F (lift ord0 ord0).
  by rewrite !big_ord_recl big_ord0; lra.
rewrite !sum2 !each_once /perform !output_value /=.
by case: Req_EM_T => [? | ?] /=; lra.
Qed.

Lemma examples_within : prompt_within S 1 1 (1 / 4) 1 two_examples.
Proof.
have small (i : 'I_2) : Rabs (INR i) <= 1.
  case: i => [[|[|i]] ?] //=; by [rewrite Rabs_R0; lra | rewrite Rabs_R1; lra].
split=> //=.
- by move=> g p _; rewrite norm1 /filled /= Rabs_R0; lra.
- by move=> j; rewrite norm1.
- by move=> i g p _; rewrite norm1 output_value.
- move=> i j; rewrite norm1 /vsub /perform output_value /=.
  case: i => [[|[|i]] ?] //; case: j => [[|[|j]] ?] //=.
  + by left; rewrite Rminus_0_r Rabs_R0; lra.
  + by right; rewrite Rabs_left; lra.
  + by right; rewrite Rabs_pos_eq; lra.
  + by left; rewrite Rminus_diag_eq // Rabs_R0; lra.
Qed.
End Example.

Theorem answers_one_half eps : 0 < eps -> exists T beta T0 P2 raise G th ab el,
  let S := @with_gains 1 (Identity 1) 2 2 1 false add T beta T0 P2 raise G th ab el in
  let P := two_examples T beta T0 P2 raise G th ab el in
  forall a, Rabs (run (seven S) (embed P) (answer P) (Y a) - 1 / 2) <= eps.
Proof.
move=> e0.
have [T [beta [T0 [P2 [raise [G [th [ab [el [_ _ out]]]]]]]]]] :=
  @every_task 1 (Identity 1) 2 2 1 false add 1 1 (1 / 4) 1 isT isT isT (fun=> isT)
    (ltac:(lra)) (ltac:(lra)) (ltac:(lra)) (ltac:(lra)) eps e0.
exists T, beta, T0, P2, raise, G, th, ab, el => S P a.
by rewrite -(half_half a); apply/out/examples_within.
Qed.
