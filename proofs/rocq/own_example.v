(* Heads that gather from a token's own example: the scores of Lift, Pair and Commit.
     score(q, k) = T <e_q, e_k> + T <w, k>,   BOS: T |e| + 3T <c, q>
   where <w, k> is a flag of the key, at most 1, and <c, q> says whether the query token idles:
   where it is 1 or more, BOS leads by 2T; where it is 0, the flagged keys of the own example
   lead BOS and the rest of the example by T, and everything else by 2T. Needs T >= 0. *)
From Theorem1 Require Import sums selection transformer stream prompt.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section OwnExample.
Variables (S : spec) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation one := (delta (One : coord)).
Notation bos := (delta (Bos : coord)).
Notation T := (T S).
Notation e := (INR (ebits S)).
Hypotheses (mm : (examples P <= m S)%N) (T_ge0 : 0 <= T).
Variable h : stream coord tok.
Hypothesis ex : exact_flags h.
Variables (w c : vec coord) (hd : head coord).
Definition own_term : term coord :=
  tcat (tcat (match_on T Eb) (row (vscale T one) w))
       (row (vadd (vscale (T * e) one) (vscale (3 * T) c)) bos).
Hypothesis hd_term : qk hd = own_term.
Hypotheses (w_le : forall k, dot w (h k) <= 1) (w_bos : dot w (h BOS) = 0).

Lemma own_score q k : scores hd h q k =
  T * same_example h q k + T * dot w (h k) + (T * e + 3 * T * dot c (h q)) * b2R (is_bos k).
Proof.
rewrite /scores hd_term !score_tcat score_match [dot _ _](_ : _ = same_example h q k) // !score_row.
by rewrite !(dotDl, dotZl) !dot_delta !(h_one ex) (h_bos ex); ring.
Qed.

Lemma bos_is_not (k : tok) : k != BOS -> is_bos k = false. Proof. by case: k. Qed.

Lemma idle_gap q k : 1 <= dot c (h q) -> k != BOS -> scores hd h q k <= scores hd h q BOS - 2 * T.
Proof.
move=> c1 kn; rewrite !own_score w_bos (bos_e ex) (bos_is_not kn) /=.
have := e_le mm ex q k; have := w_le k;
  move: (dot w _) (same_example _ _ _) (dot c _) c1 => u v x ? ? ?.
nra.
Qed.

Section Active.
Variables (g : option 'I_(examples P)) (p : 'I_(n0 S).+1).
Hypothesis active : dot c (h (At g p)) = 0.
Lemma active_in p' : scores hd h (At g p) (At g p') = T * e + T * dot w (h (At g p')).
Proof. by rewrite own_score (same_e ex) active /=; ring. Qed.
Lemma active_bos : scores hd h (At g p) BOS = T * e.
Proof. by rewrite own_score (bos_e ex) w_bos active /=; ring. Qed.
Lemma active_out g' p' : g != g' -> scores hd h (At g p) (At g' p') <= T * e + T - 2 * T.
Proof.
move=> gg; rewrite own_score active /=.
have := other_e mm ex p p' gg; have := w_le (At g' p');
  move: (dot w _) (same_example _ _ _) => u v ? ?.
nra.
Qed.
End Active.

(* What an idle token's head moves. *)
Lemma idle_output q (I : finType) (v : tok -> vec I) M : 1 <= dot c (h q) ->
  (forall k, norm (vsub (v k) (v BOS)) <= M) ->
    norm (vsub (head_output (scores hd h q) v) (v BOS)) <= nu S * M.
Proof.
move=> c1 H; apply: (@selection0 _ _ T) => //; first exact: nu_ge.
- by move=> k; exact: idle_gap.
- exact: Rle_trans (norm_ge0 _) (H BOS).
Qed.

(* BOS itself idles by more: no key is of its example. *)
Lemma bos_output (I : finType) (v : tok -> vec I) M : 1 <= e -> 1 <= dot c (h BOS) ->
  (forall k, norm (vsub (v k) (v BOS)) <= M) ->
  norm (vsub (head_output (scores hd h BOS) v) (v BOS)) <= nu_bos S * M.
Proof.
move=> e1 c1 H; apply: (@selection0 _ _ (3 * T / 2)) => //;
  last exact: Rle_trans (norm_ge0 _) (H BOS).
  have -> : 2 * (3 * T / 2) = 3 * T by field.
  by apply: Rmult_le_compat_r; [exact/Rlt_le/exp_pos | apply/le_INR/leP/card_tok_le].
move=> k kn; rewrite !own_score w_bos !(from_bos_e ex) (bos_is_not kn) /=.
have := w_le k; move: (dot w _) (dot c _) c1 => u x ? ?; move: (INR _) e1 => y ?.
nra.
Qed.
End OwnExample.

(* The tokens of an example, and BOS. *)
Definition own S (P : prompt S) (g : option 'I_(examples P)) : pred (tok P) :=
  fun t => if t is At g' _ then g' == g else true.
