(* The stream of Theorem 1: its width, the coordinates that hold features, the +-1 codes of
   positions. *)
From Theorem1 Require Import sums selection transformer.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Lemma sign_mul x y : sign x * sign y = if x == y then 1 else -1.
Proof. by case: x; case: y => /=; lra. Qed.

Lemma bits_differ l i j : (i < 2 ^ l)%N -> (j < 2 ^ l)%N -> i != j ->
  exists b : 'I_l, bit i b != bit j b.
Proof.
elim: l i j => [|l IH] i j; first by rewrite expn0 !ltnS !leqn0 => /eqP -> /eqP ->.
move=> il jl ij; case: (boolP (odd i == odd j)) => [/eqP O | O]; last by exists ord0;
  rewrite /bit expn0 !divn1.
have h n : (n < 2 ^ l.+1 -> n./2 < 2 ^ l)%N by move=> H; rewrite -divn2 ltn_divLR // mulnC -expnS.
have d : i./2 != j./2.
  by apply: contra ij => /eqP E; rewrite -(odd_double_half i) -(odd_double_half j) O E.
have [b Hb] := IH _ _ (h _ il) (h _ jl) d.
by exists (lift ord0 b); move: Hb; rewrite /bit lift0 expnS !divnMA !divn2.
Qed.

Lemma code_self l i : dot (code l i) (code l i) = INR l.
Proof.
rewrite /dot (eq_bigr (fun=> 1)); last by move=> b _; rewrite /code sign_mul eqxx.
by rewrite (sum_const xpredT 1) card_ord; lra.
Qed.

Lemma code_le l i j : dot (code l i) (code l j) <= INR l.
Proof.
rewrite -(code_self l i); apply: sum_le => b _; rewrite /code !sign_mul eqxx; case: eqP => _; lra.
Qed.

Lemma code_other l i j : (i < 2 ^ l)%N -> (j < 2 ^ l)%N -> i != j ->
  dot (code l i) (code l j) <= INR l - 2.
Proof.
move=> il jl /(bits_differ il jl) [b Hb];
  rewrite -(code_self l i) /dot (bigD1 b) //= [X in _ <= X - _](bigD1 b) //=.
rewrite /code [X in X + _ <= _]sign_mul [X in _ <= X + _ - _]sign_mul eqxx (negbTE Hb).
have aux u v : u <= v -> -1 + u <= 1 + v - 2 by lra.
by apply: aux; apply: sum_le => k _; rewrite !sign_mul eqxx; case: eqP => _; lra.
Qed.

Section Stream.
Variable S : spec.

Lemma coord_decK : cancel (@coord_dec S) (@coord_enc S).
Proof.
case=> [[[[[[[i|i]|i]|i]|k]|i]|b]|b] //.
by case: k => [[|[|[|[|[|[|[|k]]]]]]] lt] //=; congr (inl (inl (inl (inr _)))); apply: val_inj.
Qed.

(* D = 2d + [r] + |e| + |s| + 9 [+ 1]: no K anywhere. *)
Theorem width_formula : #|coord_finType S| = embedding_dim S.
Proof.
rewrite (bij_eq_card (Bijective (@coord_encK S) coord_decK)) !card_sum !card_ord /embedding_dim.
rewrite mul2n -addnn -!plusE; lia.
Qed.

Lemma X_inj : injective (@X S). Proof. by move=> a b []. Qed.
Lemma Y_inj : injective (@Y S). Proof. by move=> a b []. Qed.
Lemma XinvK : pcancel (@X S) (@Xinv S). Proof. by []. Qed.
Lemma XinvE c i : @Xinv S c = Some i -> c = X i. Proof. by case: c => //= ? [->]. Qed.
Lemma ZinvK : pcancel (@Z S) (@Zinv S). Proof. by []. Qed.
Lemma ZinvE c i : @Zinv S c = Some i -> c = Z i. Proof. by case: c => //= ? [->]. Qed.
Lemma EinvK : pcancel (@Eb S) (@Einv S). Proof. by []. Qed.
Lemma EinvE c i : @Einv S c = Some i -> c = Eb i. Proof. by case: c => //= ? [->]. Qed.
Lemma SinvK : pcancel (@Sb S) (@Sinv S). Proof. by []. Qed.
Lemma SinvE c i : @Sinv S c = Some i -> c = Sb i. Proof. by case: c => //= ? [->]. Qed.
Lemma verdict_inj : injective (@verdict_at S).
Proof. by case=> [a|[]] [b|[]] //= [] ->. Qed.

(* Features live in F, or in X when phi is the identity. *)
Lemma finvK : pcancel (@fcoord S) (@finv S).
Proof.
case: S => d phi K m n0 ss tk cd rd T b t0 p2 rr G th ab el.
by rewrite /fcoord /finv /fcoord_of /finv_of /=; case: phi tk.
Qed.
Lemma finvE c i : @finv S c = Some i -> c = fcoord i.
Proof.
case: S c i => d phi K m n0 ss tk cd rd T b t0 p2 rr G th ab el.
rewrite /fcoord /finv /fcoord_of /finv_of /=.
by case: phi tk => [|r B c] tk; case=> //= x i [->].
Qed.
Lemma fcoord_inj : injective (@fcoord S). Proof. exact: pcan_inj finvK. Qed.
Lemma fcoord_cases l : (exists i, fcoord l = X (S := S) i) \/ (exists i, fcoord l = F (S := S) i).
Proof.
case: S l => d phi K m n0 ss tk cd rd T b t0 p2 rr G th ab el; rewrite /fcoord /fcoord_of /=.
by case: phi tk => [|r B c] tk l; [left | right]; exists l.
Qed.
(* A coordinate that is neither X nor F holds no feature. *)
Definition holds_feature (c : coord S) : bool := match c with X _ | F _ => true | _ => false end.
Lemma not_feature c l : ~~ holds_feature c -> c != fcoord l.
Proof. by apply: contra => /eqP ->; case: (fcoord_cases l) => [[i ->]|[i ->]]. Qed.

(* The bits of a position are enough. *)
Lemma room_e : (m S < 2 ^ ebits S)%N. Proof. exact: up_logP. Qed.
Lemma room_s : (n S <= 2 ^ sbits S)%N. Proof. exact: up_logP. Qed.
Lemma ebits_gt0 : (0 < m S)%N -> (0 < ebits S)%N. Proof. by move=> m0; rewrite up_log_gt0. Qed.
Lemma sbits_gt0 : (0 < n0 S)%N -> (0 < sbits S)%N. Proof. by move=> n0; rewrite up_log_gt0. Qed.
End Stream.
