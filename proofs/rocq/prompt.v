(* The tokens of a prompt, and what no layer may change: flags and codes. *)
From Theorem1 Require Import sums selection transformer stream.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Prompt.
Variables (S : spec) (P : prompt S).
Notation coord := (coord_finType S).
Notation tok := (tok_finType P).
Notation group := (option 'I_(examples P)).

Lemma card_tok : #|tok| = (1 + (examples P).+1 * (n0 S).+1)%N.
Proof.
pose f (t : tok) : option (group * 'I_(n0 S).+1) := tok_enc t.
pose g x : tok := tok_dec x.
have fK : cancel f g by exact: tok_encK.
have gK : cancel g f by case=> [[]|].
by rewrite (bij_eq_card (Bijective fK gK)) card_option card_prod card_option !card_ord.
Qed.

(* Flags and codes as the embedding writes them. *)
Record exact_flags (h : stream coord tok) : Prop := ExactFlags {
  h_one : forall t, h t One = 1;
  h_bos : forall t, h t Bos = b2R (is_bos t);
  h_inp : forall t, h t Inp = b2R (is_inp t);
  h_lab : forall t, h t Lab = b2R (is_lab t);
  h_qry : forall t, h t Qry = b2R (is_qry t);
  h_sum : forall t i, h t (Sum i) = if t is At _ p then b2R (is_sum p) else 0;
  h_e : forall t b, h t (Eb b) = if t is At g _ then code (ebits S) (index g) b else 0;
  h_s : forall t b, h t (Sb b) = if t is At _ p then code (sbits S) p b else 0 }.

Lemma embed_flags : exact_flags (embed P).
Proof. by split. Qed.

(* A layer that writes no flag and no code keeps them. *)
Definition is_flag (c : coord) : bool :=
  match c with One | Bos | Inp | Lab | Qry | Sum _ | Eb _ | Sb _ => true | _ => false end.
Lemma keep_flags (h h' : stream coord tok) :
  (forall t c, is_flag c -> h' t c = h t c) -> exact_flags h -> exact_flags h'.
Proof.
by move=> k ex; split=> *; rewrite k //;
  [exact: h_one | exact: h_bos | exact: h_inp | exact: h_lab | exact: h_qry | exact: h_sum | exact:
    h_e | exact: h_s].
Qed.

Hypothesis mm : (examples P <= m S)%N.

Lemma card_tok_le : (#|tok| <= tokens S)%N.
Proof. by rewrite card_tok leq_add2l leq_mul2r ltnS mm orbT. Qed.
Lemma nu_ge T : INR #|tok| * exp (- (2 * T)) <= nu_at S T.
Proof.
by apply: Rmult_le_compat_r; [exact/Rlt_le/exp_pos | apply/le_INR/leP/card_tok_le].
Qed.

Lemma index_lt (g : group) : (index g < 2 ^ ebits S)%N.
Proof.
by case: g => [j|]; [apply: ltn_trans (room_e S); apply: leq_trans (ltn_ord j) mm | exact: room_e].
Qed.
Lemma index_inj : injective (@index S P).
Proof.
case=> [i|] [j|] //= E; first by congr Some; apply: val_inj.
  by have := leq_trans (ltn_ord i) mm; rewrite E ltnn.
by have := leq_trans (ltn_ord j) mm; rewrite -E ltnn.
Qed.

Variable h : stream coord tok.
Hypothesis ex : exact_flags h.
Definition same_example (q k : tok) : R := dot (fun b => h q (Eb b)) (fun b => h k (Eb b)).
Definition same_slot (q k : tok) : R := dot (fun b => h q (Sb b)) (fun b => h k (Sb b)).

Lemma same_e g p p' : same_example (At g p) (At g p') = INR (ebits S).
Proof. by rewrite -(code_self (ebits S) (index g)); apply: eq_bigr => b _; rewrite !(h_e ex). Qed.
Lemma other_e g g' p p' : g != g' -> same_example (At g p) (At g' p') <= INR (ebits S) - 2.
Proof.
move=> gg'; have gg : index g != index g' by apply: contra gg' => /eqP/index_inj ->.
have := code_other (index_lt g) (index_lt g') gg; rewrite /same_example /dot.
by rewrite [X in _ ->
  X <= _](eq_bigr (fun b => code (ebits S) (index g) b * code (ebits S) (index g') b)) // => b _;
  rewrite !(h_e ex).
Qed.
Lemma bos_e q : same_example q BOS = 0.
Proof. by apply: big1 => b _; rewrite (h_e ex BOS) Rmult_0_r. Qed.
Lemma from_bos_e k : same_example BOS k = 0.
Proof. by apply: big1 => b _; rewrite (h_e ex BOS) Rmult_0_l. Qed.
Lemma e_le q k : same_example q k <= INR (ebits S).
Proof.
case: q => [|g p]; first by rewrite from_bos_e; apply: pos_INR.
case: k => [|g' p']; first by rewrite bos_e; apply: pos_INR.
case: (eqVneq g g') => [<- | /(other_e p p') H]; first by rewrite same_e; lra.
by apply: Rle_trans H _; lra.
Qed.

Lemma same_s g g' p : same_slot (At g p) (At g' p) = INR (sbits S).
Proof. by rewrite -(code_self (sbits S) p); apply: eq_bigr => b _; rewrite !(h_s ex). Qed.
Lemma other_s g g' p p' : p != p' -> same_slot (At g p) (At g' p') <= INR (sbits S) - 2.
Proof.
move=> pp; have room (x : 'I_(n0 S).+1) : (x < 2 ^ sbits S)%N
  by apply: leq_trans (ltn_ord x) (room_s S).
have := code_other (room p) (room p') pp; rewrite /same_slot /dot.
by rewrite [X in _ -> X <= _](eq_bigr (fun b => code (sbits S) p b * code (sbits S) p' b)) // =>
  b _; rewrite !(h_s ex).
Qed.
Lemma bos_s q : same_slot q BOS = 0.
Proof. by apply: big1 => b _; rewrite (h_s ex BOS) Rmult_0_r. Qed.
Lemma from_bos_s k : same_slot BOS k = 0.
Proof. by apply: big1 => b _; rewrite (h_s ex BOS) Rmult_0_l. Qed.
Lemma s_le q k : same_slot q k <= INR (sbits S).
Proof.
case: q => [|g p]; first by rewrite from_bos_s; apply: pos_INR.
case: k => [|g' p']; first by rewrite bos_s; apply: pos_INR.
case: (eqVneq p p') => [<- | /(other_s g g') H]; first by rewrite same_s; lra.
by apply: Rle_trans H _; lra.
Qed.
(* Two tokens other than BOS differ in a bit of the position. *)
Lemma position_other q k : q != BOS -> k != BOS -> k != q ->
  same_example q k + same_slot q k <= INR (ebits S) + INR (sbits S) - 2.
Proof.
have lo a b x y : a <= x - 2 -> b <= y -> a + b <= x + y - 2 by lra.
have ro a b x y : a <= x -> b <= y - 2 -> a + b <= x + y - 2 by lra.
case: q => [|g p] //; case: k => [|g' p'] // _ _ kq.
case: (eqVneq g g') kq => [<- kq | gg _]; last by apply: lo; [exact: other_e | exact: s_le].
by apply: ro; [exact: e_le | apply: other_s; apply: contra kq => /eqP ->].
Qed.
Lemma position_self q : q != BOS ->
  same_example q q + same_slot q q = INR (ebits S) + INR (sbits S).
Proof. by case: q => [|g p] // _; rewrite same_e same_s. Qed.
End Prompt.
