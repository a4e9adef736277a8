(* Theorem 1, stated in full. Everything that the statement needs is defined in this file, over
   Stdlib's real numbers and mathcomp's finite types and sums; nothing is proved in it but that
   coordinates and tokens are finite sets. The last definition, theorem1_statement, is the theorem;
   theorem1.v proves it. The numbers are real, and so is the softmax: rounding is not spoken of.

   How to read it. 'I_n is {0, ..., n-1}, and n.+1 is n + 1; INR k is the natural number k as a real
   one; \sum_i sums over a finite type, and \sum_(i | b i) over those i with b i; #|A| counts;
   a function applied to a record, as in K S, is a field of it; `fun=> x` is a constant function;
   ord_max is the last element of 'I_n.+1; option A is A with one more element, None; A -> B -> C is
   a function of two arguments. A matrix is the family of its rows. *)
Require Export Reals.
From mathcomp Require Export all_ssreflect.
#[export] Set Warnings "-notation-overridden,-ambiguous-paths".
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Delimit Scope nat_scope with N.
Open Scope R_scope.
Notation "\sum_ ( i <- r | P ) F" := (\big[Rplus/0%R]_(i <- r | P%B) F%R) : R_scope.
Notation "\sum_ ( i <- r ) F" := (\big[Rplus/0%R]_(i <- r) F%R) : R_scope.
Notation "\sum_ ( i | P ) F" := (\big[Rplus/0%R]_(i | P%B) F%R) : R_scope.
Notation "\sum_ i F" := (\big[Rplus/0%R]_i F%R) : R_scope.
Notation "\sum_ ( i : t ) F" := (\big[Rplus/0%R]_(i : t) F%R) : R_scope.
Notation "\sum_ ( i : t | P ) F" := (\big[Rplus/0%R]_(i : t | P%B) F%R) : R_scope.
Definition b2R (x : bool) : R := if x then 1 else 0.

(* ---- 1. Vectors and matrices ----------------------------------------------------------------- *)

Definition vec (I : Type) := I -> R.
Definition mat (I J : Type) := I -> vec J. (* the family of its rows *)
Section Vectors.
Variable I : Type.
Implicit Types u v : vec I.
Definition vzero : vec I := fun=> 0.
Definition vadd u v : vec I := fun i => u i + v i.
Definition vsub u v : vec I := fun i => u i - v i.
Definition vscale (c : R) v : vec I := fun i => c * v i.
End Vectors.
Arguments vzero {I}.
Definition dot (I : finType) (u v : vec I) : R := \sum_i u i * v i.
Definition norm (I : finType) (v : vec I) : R := sqrt (dot v v).
Definition apply (I : Type) (J : finType) (A : mat I J) (v : vec J) : vec I := fun i => dot (A i) v.
Definition relu (I : Type) (v : vec I) : vec I := fun i => Rmax (v i) 0.

(* ---- 2. Transformers: softmax attention, heads side by side, then a residual ReLU MLP -------- *)

Section Transformer.
Variable D : finType. (* the coordinates of the stream *)

(* A head: W_Q and W_K read rows to be compared, W_V a value, and W_O writes it back. Scores are not
   divided by the square root of the rank. *)
Record term := Term { rank : finType; W_Q : mat rank D; W_K : mat rank D }.
Record head := Head { qk : term; vdim : finType; W_V : mat vdim D; W_O : mat D vdim }.
Record layer (H : finType) :=
  Layer { heads : H -> head; width : finType; W_1 : mat width D; W_2 : mat D width }.

Definition score (t : term) (q k : vec D) : R := dot (apply (@W_Q t) q) (apply (@W_K t) k).

Section Run.
Variable tok : finType. (* the tokens; there is no mask: every token sees all *)
Definition stream := tok -> vec D.
Implicit Types h : stream.

Definition softmax (s : tok -> R) (k : tok) : R := exp (s k) / \sum_j exp (s j).
Definition scores (hd : head) h (q k : tok) : R := score (qk hd) (h q) (h k).
Definition attention (hd : head) h (q : tok) : vec D := fun c =>
  \sum_k softmax (scores hd h q) k * apply (@W_O hd) (apply (@W_V hd) (h k)) c.
Definition attend (H : finType) (L : layer H) h : stream := fun q c =>
  h q c + \sum_i attention (heads L i) h q c.
Definition run_layer (H : finType) (L : layer H) h : stream := fun q c =>
  attend L h q c + apply (@W_2 _ L) (relu (apply (@W_1 _ L) (attend L h q))) c.
Definition run (H : finType) (Ls : seq (layer H)) h : stream :=
  foldl (fun g L => run_layer L g) h Ls.
End Run.

(* Small builders. delta c is the row that reads coordinate c; `reads s` reads the coordinates s,
   and `writes s` writes to them; `tcat` stacks two scores, which adds them; `row q k` is the score
   <q, h_q> <k, h_k>; `match_on g s` is g times the inner product of two tokens' coordinates s. *)
Definition delta (c : D) : vec D := fun c' => if c' == c then 1 else 0.
Definition reads (I : Type) (s : I -> D) : mat I D := fun i => delta (s i).
Definition writes (I : eqType) (s : I -> D) : mat D I := fun c i => delta (s i) c.
(* The row w, placed on the coordinates that inv sends to its entries. *)
Definition read_row (I : Type) (w : vec I) (inv : D -> option I) : vec D :=
  fun c => if inv c is Some i then w i else 0.
Definition stack (I J : Type) (A : mat I D) (B : mat J D) : mat (I + J) D :=
  fun ij => match ij with inl i => A i | inr j => B j end.
Definition tcat (t u : term) := Term (stack (@W_Q t) (@W_Q u)) (stack (@W_K t) (@W_K u)).
Definition row (q k : vec D) : term := @Term [finType of unit] (fun=> q) (fun=> k).
Definition match_on (I : finType) (g : R) (s : I -> D) : term :=
  Term (fun i => vscale g (delta (s i))) (reads s).
Definition idle_head : head :=
  Head (row vzero vzero) (fun _ : 'I_1 => @vzero D) (fun _ _ => 0).
Definition no_mlp_1 : mat 'I_0 D := fun=> @vzero D.
Definition no_mlp_2 : mat D 'I_0 := fun _ _ => 0.
(* The first of K heads does the work. *)
Definition first_of (K : nat) (hd : head) (i : 'I_K) : head :=
  if val i == 0%N then hd else idle_head.
End Transformer.

(* ---- 3. What is to be built: tasks, shapes, gains -------------------------------------------- *)

(* phi is the identity, or max(B x + c, 0) with r features. *)
Inductive features (d : nat) := Identity | Relu (r : nat) (B : mat 'I_r 'I_d) (c : vec 'I_r).
Definition fdim d (phi : features d) : nat := if phi is Relu r _ _ then r else d.
Definition stored d (phi : features d) : nat := if phi is Relu r _ _ then r else 0.
Definition feature d (phi : features d) : vec 'I_d -> vec 'I_(fdim phi) :=
  match phi with Identity => fun x => x | Relu r B c => fun x => relu (vadd (apply B x) c) end.
Arguments feature {d}.

(* A task g(X) = W phi(x_slot) + b; an example has n0 inputs, in slots 0 .. n0-1, and its label in
   the last slot: n = n0 + 1 tokens. *)
Record task (d r n0 : nat) := Task { slot : 'I_n0.+1; weight : mat 'I_d 'I_r; bias : vec 'I_d }.

Record spec := Spec {
  dim : nat;                                   (* d *)
  phi : features dim;
  K : nat;                                     (* tasks, and heads in every layer *)
  m : nat;                                     (* the most examples *)
  n0 : nat;                                    (* n - 1, inputs of an example *)
  sum_slot : bool;                             (* is slot n - 2 blank, for the others' sum? *)
  task_of : 'I_K -> task dim (fdim phi) n0;
  code_of : 'I_K -> vec 'I_2;                  (* the task codes, as Recognize writes them *)
  read_code_of : 'I_K -> vec 'I_2;             (* and as gates read them: G times this is stored *)
  T : R;                                       (* the coldness *)
  beta : R; T0 : R; P2 : R; recognize_raise : R;          (* gains of Recognize *)
  G : R; threshold : R; abstain : R; elsewhere : R }.     (* gains of Fetch and Execute *)
Definition n (S : spec) : nat := (n0 S).+1.
Definition ebits (S : spec) : nat := up_log 2 (m S).+1.   (* ceil (log2 (m + 1)) *)
Definition sbits (S : spec) : nat := up_log 2 (n S).      (* ceil (log2 n) *)
Definition is_sum (S : spec) (p : 'I_(n0 S).+1) : bool := sum_slot S && (p.+1 == n0 S).

(* The coordinates of the stream: content x and label y, features f (if they are not x itself), task
   code z, the number of tasks that explain, ok (is it one?), the flags one, bos, inp, lab, qry (and
   sum, with a sum slot), and the codes of example and slot. *)
Inductive coord (S : spec) :=
  | X of 'I_(dim S) | Y of 'I_(dim S) | F of 'I_(stored (phi S)) | Z of 'I_2 | Count | Ok
  | One | Bos | Inp | Lab | Qry | Sum of 'I_(sum_slot S) | Eb of 'I_(ebits S) | Sb of 'I_(sbits S).
Arguments X {S}. Arguments Y {S}. Arguments F {S}. Arguments Z {S}. Arguments Count {S}.
Arguments Ok {S}. Arguments One {S}. Arguments Bos {S}. Arguments Inp {S}. Arguments Lab {S}.
Arguments Qry {S}. Arguments Sum {S}. Arguments Eb {S}. Arguments Sb {S}.

Section CoordIsFinite.
Variable S : spec.
Definition coord_sum : Type :=
  ('I_(dim S) + 'I_(dim S) + 'I_(stored (phi S)) + 'I_2 + 'I_7 + 'I_(sum_slot S) + 'I_(ebits S)
   + 'I_(sbits S))%type.
Definition scalar k (lt : (k < 7)%N) : coord_sum := inl (inl (inl (inr (Ordinal lt)))).
Definition coord_enc (c : coord S) : coord_sum := match c with
  | X i => inl (inl (inl (inl (inl (inl (inl i))))))
  | Y i => inl (inl (inl (inl (inl (inl (inr i))))))
  | F i => inl (inl (inl (inl (inl (inr i))))) | Z i => inl (inl (inl (inl (inr i))))
  | Count => @scalar 0 isT | Ok => @scalar 1 isT | One => @scalar 2 isT | Bos => @scalar 3 isT
  | Inp => @scalar 4 isT | Lab => @scalar 5 isT | Qry => @scalar 6 isT
  | Sum i => inl (inl (inr i)) | Eb b => inl (inr b) | Sb b => inr b end.
Definition coord_dec (c : coord_sum) : coord S := match c with
  | inl (inl (inl (inl (inl (inl (inl i)))))) => X i
  | inl (inl (inl (inl (inl (inl (inr i)))))) => Y i
  | inl (inl (inl (inl (inl (inr i))))) => F i | inl (inl (inl (inl (inr i)))) => Z i
  | inl (inl (inl (inr k))) => nth Qry [:: Count; Ok; One; Bos; Inp; Lab] k
  | inl (inl (inr i)) => Sum i | inl (inr b) => Eb b | inr b => Sb b end.
Lemma coord_encK : cancel coord_enc coord_dec. Proof. by case. Qed.
End CoordIsFinite.
Definition coord_eqMixin S := CanEqMixin (@coord_encK S).
Canonical coord_eqType S := EqType (coord S) (coord_eqMixin S).
Definition coord_choiceMixin S := CanChoiceMixin (@coord_encK S).
Canonical coord_choiceType S := ChoiceType (coord S) (coord_choiceMixin S).
Definition coord_countMixin S := CanCountMixin (@coord_encK S).
Canonical coord_countType S := CountType (coord S) (coord_countMixin S).
Definition coord_finMixin S := CanFinMixin (@coord_encK S).
Canonical coord_finType S := FinType (coord S) (coord_finMixin S).

(* fcoord: the coordinates that hold features: f, or x when phi is the identity. finv is its
   inverse: the number of the feature that a coordinate holds, if it holds one. *)
Definition fcoord_of d (phi : features d) (C : Type) (x : 'I_d -> C) :
    ('I_(stored phi) -> C) -> 'I_(fdim phi) -> C :=
  match phi with Identity => fun _ => x | Relu r _ _ => fun f => f end.
Definition fcoord (S : spec) : 'I_(fdim (phi S)) -> coord S := fcoord_of X F.
Arguments fcoord {S}.
Definition finv_of d (phi : features d) :
    option 'I_d -> option 'I_(stored phi) -> option 'I_(fdim phi) :=
  match phi with Identity => fun x _ => x | Relu r _ _ => fun _ f => f end.
Definition finv (S : spec) (c : coord S) : option 'I_(fdim (phi S)) :=
  @finv_of _ (phi S) (if c is X i then Some i else None) (if c is F i then Some i else None).

(* The code of an index in l bits of +-1, lowest bit first. *)
Definition bit (i b : nat) : bool := odd (i %/ 2 ^ b).
Definition sign (x : bool) : R := if x then 1 else -1.
Definition code (l i : nat) : vec 'I_l := fun b => sign (bit i b).
Arguments code : clear implicits.

(* ---- 4. The seven layers --------------------------------------------------------------------- *)

Section Layers.
Variable S : spec.
Notation coord := (coord_finType S).
Notation one := (delta (One : coord)).
Notation bos := (delta (Bos : coord)).
Notation inp := (delta (Inp : coord)).
Notation lab := (delta (Lab : coord)).
Notation qry := (delta (Qry : coord)).
Notation ok := (delta (Ok : coord)).
Notation count := (delta (Count : coord)).
Notation T := (T S).
Notation e := (INR (ebits S)).          (* |e|, the number of bits of the example's code *)
Notation L := (INR (ebits S) + INR (sbits S)).
Definition sum_flag : vec coord := fun c => if c is Sum _ then 1 else 0.
Definition Xinv (c : coord) : option 'I_(dim S) := if c is X i then Some i else None.
Definition Zinv (c : coord) : option 'I_2 := if c is Z a then Some a else None.
Definition Einv (c : coord) : option 'I_(ebits S) := if c is Eb b then Some b else None.
Definition Sinv (c : coord) : option 'I_(sbits S) := if c is Sb b then Some b else None.
Definition position (b : 'I_(ebits S) + 'I_(sbits S)) : coord :=
  match b with inl b => Eb b | inr b => Sb b end.
Definition verdict_at (x : 'I_2 + unit) : coord :=
  match x with inl a => Z a | inr _ => Count end.

(* 1. Lift: a sum slot reads the sum of its example's other inputs; every token lifts x to phi(x).
   score(q, k) = T <e_q, e_k> + T (inp - sum)_k,  BOS: T|e| + 3T (1 - sum_q);
   value (n - 2) x -> x;  MLP: f = max(B x + c inp, 0), or none when phi is the identity. *)
Definition lift_head : head coord :=
  Head (tcat (tcat (match_on T Eb) (row (vscale T one) (vsub inp sum_flag)))
             (row (vadd (vscale (T * e) one) (vscale (3 * T) (vsub one sum_flag))) bos))
       (fun i => vscale (INR (n0 S - 1)) (delta (X i))) (writes X).
Definition lift_heads : 'I_(K S) -> head coord :=
  first_of (if sum_slot S then lift_head else idle_head coord).
Definition features_layer d (phi : features d) (x : coord -> option 'I_d)
    (f : 'I_(stored phi) -> coord) :
    ('I_(K S) -> head coord) -> layer coord [finType of 'I_(K S)] :=
  match phi as phi return ('I_(stored phi) -> coord) -> _ with
  | Identity => fun _ hs => Layer hs (@no_mlp_1 coord) (@no_mlp_2 coord)
  | Relu r B c => fun f hs => @Layer coord [finType of 'I_(K S)] hs [finType of 'I_r]
      (fun j => vadd (read_row (B j) x) (vscale (c j) inp)) (writes f)
  end f.
Definition lift_layer : layer coord [finType of 'I_(K S)] := features_layer Xinv F lift_heads.

(* 2. Pair: every example input reads its example's label.
   score(q, k) = T <e_q, e_k> + T lab_k,  BOS: T|e| + 3T (1 - inp + qry)_q;  value y -> y. *)
Definition pair_head : head coord :=
  Head (tcat (tcat (match_on T Eb) (row (vscale T one) lab))
             (row (vadd (vscale (T * e) one) (vscale (3 * T) (vsub one (vsub inp qry)))) bos))
       (reads Y) (writes Y).
Definition pair_layer : layer coord [finType of 'I_(K S)] :=
  Layer (first_of pair_head) (@no_mlp_1 coord) (@no_mlp_2 coord).

(* 3. Recognize: head i weighs a token by its residual r_i = W_i f + b_i inp - y.
   score(q, k) = P2 (<e_q, e_k> + <s_q, s_k>) - beta <r_i(q), r_i(k)>,
   BOS: P2 L - T0 + raise (1 - inp + qry + [bits in which the slot differs from p_i])_q;
   value c_i inp -> z, inp -> count. *)
Definition miss (i : 'I_(K S)) : mat 'I_(dim S) coord := fun j =>
  vsub (vadd (read_row (weight (task_of i) j) (@finv S)) (vscale (bias (task_of i) j) inp))
       (delta (Y j)).
Definition other_slot (p : nat) : vec coord :=
  vscale (/ 2) (vsub (vscale (INR (sbits S)) one) (read_row (code (sbits S) p) Sinv)).
Definition recognize_head (i : 'I_(K S)) : head coord :=
  Head (tcat (tcat (match_on (P2 S) position)
                   (Term (fun j => vscale (- beta S) (miss i j)) (miss i)))
             (tcat (row (vscale (P2 S * L - T0 S) one) bos)
                   (row (vscale (recognize_raise S)
                          (vadd (vsub one (vsub inp qry)) (other_slot (slot (task_of i))))) bos)))
       (fun x => match x with inl a => vscale (code_of i a) inp | inr _ => inp end)
       (writes verdict_at).
Definition recognize_layer : layer coord [finType of 'I_(K S)] :=
  Layer recognize_head (@no_mlp_1 coord) (@no_mlp_2 coord).

(* 4. Commit: the label gathers its inputs' codes and counts; ok is 1 where the count is 1.
   score(q, k) = T <e_q, e_k> + T inp_k,  BOS: T|e| + 3T (1 - lab_q);  value (n - 1) (z, count);
   MLP: ok = 2 (c - 1/4)+ - 2 (c - 3/4)+ - 2 (c - 5/4)+ + 2 (c - 7/4)+, c the count. *)
Definition commit_head : head coord :=
  Head (tcat (tcat (match_on T Eb) (row (vscale T one) inp))
             (row (vadd (vscale (T * e) one) (vscale (3 * T) (vsub one lab))) bos))
       (fun x => vscale (INR (n0 S)) (delta (verdict_at x))) (writes verdict_at).
Definition corner (k : 'I_4) : R := nth 0 [:: 1/4; 3/4; 5/4; 7/4] k.
Definition slope (k : 'I_4) : R := nth 0 [:: 2; -2; -2; 2] k.
Definition commit_layer : layer coord [finType of 'I_(K S)] :=
  Layer (first_of commit_head)
        (fun k => vsub count (vscale (corner k) one)) (fun (c : coord) k => slope k * ok c).

(* 5. Fetch: a label committed to task i reads the query's features from slot p_i.
   score(q, k) = T (<code(m), e_k> + <code(p_i), s_k> - L) for k other than BOS,
   BOS: - threshold + G (1 - <z_q, c_i>) + abstain (1 - ok_q) + elsewhere (1 - lab_q);
   value f -> f. *)
Definition gate (i : 'I_(K S)) : term coord :=
  tcat (tcat (row (vscale (- threshold S) one) bos)
             (row (vscale (G S) (vsub one (read_row (read_code_of i) Zinv))) bos))
       (tcat (row (vscale (abstain S) (vsub one ok)) bos)
             (row (vscale (elsewhere S) (vsub one lab)) bos)).
Definition query_place (i : 'I_(K S)) : vec coord :=
  vsub (vadd (read_row (code (ebits S) (m S)) Einv)
             (read_row (code (sbits S) (slot (task_of i))) Sinv)) (vscale L (vsub one bos)).
Definition fetch_head (i : 'I_(K S)) : head coord :=
  Head (tcat (row one (vscale T (query_place i))) (gate i)) (reads fcoord) (writes fcoord).
Definition fetch_layer : layer coord [finType of 'I_(K S)] :=
  Layer fetch_head (@no_mlp_1 coord) (@no_mlp_2 coord).

(* 6. Execute: a label committed to task i replaces itself by the task's output on the query.
   score(q, k) = T (<e_q, e_k> + <s_q, s_k> - L) for k other than BOS, BOS as in Fetch;
   value W_i f + b_i lab - y -> y. *)
Definition execute_head (i : 'I_(K S)) : head coord :=
  Head (tcat (tcat (match_on T position) (row one (vscale (- (T * L)) (vsub one bos)))) (gate i))
       (fun j => vsub (vadd (read_row (weight (task_of i) j) (@finv S))
                            (vscale (bias (task_of i) j) lab)) (delta (Y j)))
       (writes Y).
Definition execute_layer : layer coord [finType of 'I_(K S)] :=
  Layer execute_head (@no_mlp_1 coord) (@no_mlp_2 coord).

(* 7. Superpose: the answer token averages y over the labels with ok = 1.
   score(k) = 3T (ok_k - inp_k - 1) for k other than BOS,  BOS: -T + 3T (1 - qry + inp)_q;
   value y -> y. *)
Definition superpose_head : head coord :=
  Head (tcat (row one (vsub (vscale (3 * T) (vsub (vsub ok inp) (vsub one bos))) (vscale T bos)))
             (row (vscale (3 * T) (vadd (vsub one qry) inp)) bos))
       (reads Y) (writes Y).
Definition superpose_layer : layer coord [finType of 'I_(K S)] :=
  Layer (first_of superpose_head) (@no_mlp_1 coord) (@no_mlp_2 coord).

Definition seven : seq (layer coord [finType of 'I_(K S)]) :=
  [:: lift_layer; pair_layer; recognize_layer; commit_layer; fetch_layer; execute_layer;
      superpose_layer].
End Layers.

(* ---- 5. Prompts ------------------------------------------------------------------------------ *)

(* A prompt is BOS; then examples of n tokens, inputs in slots 0 .. n0-1 and the label in the last;
   then the query's inputs and one blank token, the answer token. Its tokens are BOS and At g p,
   slot p of group g, where a group is an example's number or None, the query. *)
Record prompt (S : spec) := Prompt {
  examples : nat;
  input : option 'I_examples -> 'I_(n0 S).+1 -> vec 'I_(dim S);   (* None: the query *)
  label : 'I_examples -> vec 'I_(dim S) }.
Arguments input {S} p. Arguments label {S} p.

Inductive tok (S : spec) (P : prompt S) := BOS | At of option 'I_(examples P) & 'I_(n0 S).+1.
Arguments BOS {S P}. Arguments At {S P}.

Section TokensAreFinite.
Variables (S : spec) (P : prompt S).
Definition tok_enc (t : tok P) := if t is At g p then Some (g, p) else None.
Definition tok_dec x : tok P := if x is Some (g, p) then At g p else BOS.
Lemma tok_encK : cancel tok_enc tok_dec. Proof. by case. Qed.
End TokensAreFinite.
Definition tok_eqMixin S P := CanEqMixin (@tok_encK S P).
Canonical tok_eqType S P := EqType (@tok S P) (tok_eqMixin P).
Definition tok_choiceMixin S P := CanChoiceMixin (@tok_encK S P).
Canonical tok_choiceType S P := ChoiceType (@tok S P) (tok_choiceMixin P).
Definition tok_countMixin S P := CanCountMixin (@tok_encK S P).
Canonical tok_countType S P := CountType (@tok S P) (tok_countMixin P).
Definition tok_finMixin S P := CanFinMixin (@tok_encK S P).
Canonical tok_finType S P := FinType (@tok S P) (tok_finMixin P).

Section Prompts.
Variables (S : spec) (P : prompt S).
Notation tok := (tok P).
Definition answer : tok := At None ord_max.
Definition is_bos (t : tok) : bool := if t is BOS then true else false.
Definition is_inp (t : tok) : bool := if t is At _ p then p != ord_max else false.
Definition is_lab (t : tok) : bool := if t is At (Some _) p then p == ord_max else false.
Definition is_qry (t : tok) : bool := if t is At None _ then true else false.
Definition index (g : option 'I_(examples P)) : nat := if g is Some j then val j else m S.

Definition embed : stream (coord_finType S) [finType of tok] := fun t c => match c with
  | X i => if t is At g p then if p == ord_max then 0 else input P g p i else 0
  | Y i => if t is At (Some j) p then if p == ord_max then label P j i else 0 else 0
  | F _ | Z _ | Count | Ok => 0
  | One => 1
  | Bos => b2R (is_bos t) | Inp => b2R (is_inp t) | Lab => b2R (is_lab t) | Qry => b2R (is_qry t)
  | Sum _ => if t is At _ p then b2R (is_sum p) else 0
  | Eb b => if t is At g _ then code (ebits S) (index g) b else 0
  | Sb b => if t is At _ p then code (sbits S) p b else 0
  end.

(* An input, the sum slot filled; what task i makes of the input in slot p; the task itself. *)
Definition filled g p : vec 'I_(dim S) := fun i =>
  if is_sum p then \sum_(p' | (p' != ord_max) && ~~ is_sum p') input P g p' i else input P g p i.
Definition output i g p : vec 'I_(dim S) :=
  vadd (apply (weight (task_of i)) (feature (phi S) (filled g p))) (bias (task_of i)).
Definition perform i g := output i g (slot (task_of i)).

(* Task i explains example j if its output misses the label by at most the tolerance. Task i's share
   m_i counts the examples that i alone explains; M is their number. *)
Definition explains (rho : R) i j : bool :=
  if Rle_dec (norm (vsub (perform i (Some j)) (label P j))) rho then true else false.
Definition share rho i : nat :=
  #|[pred j | explains rho i j && [forall k, explains rho k j ==> (k == i)]]|.
Definition total rho : R := \sum_i INR (share rho i).
(* sum_i (m_i / M) g_i(X_query); Stdlib's x / 0 is some number, so M = 0 is said apart. *)
Definition superposition rho : vec 'I_(dim S) := fun a =>
  if Req_EM_T (total rho) 0 then 0 else \sum_i INR (share rho i) / total rho * perform i None a.
End Prompts.
Arguments embed {S} P. Arguments filled {S} P. Arguments output {S} P. Arguments perform {S} P.
Arguments explains {S} P. Arguments share {S} P. Arguments total {S} P.
Arguments superposition {S} P.

(* ---- 6. Constants, hypotheses, and the leak -------------------------------------------------- *)

Record consts := Consts {
  radius : R;                                       (* R: norms of labels and outputs *)
  input_radius : R;                                 (* X: norms of inputs *)
  tolerance : R; margin : R;                        (* rho and delta *)
  weight_norm : R; bias_norm : R;                   (* of every W_i, b_i *)
  feature_norm : R; feature_bias_norm : R;          (* of B and c; 1 and 0 for the identity *)
  code_tolerance : R;                               (* of a stored task code *)
  T_recognize : R;                                  (* the coldness that Recognize's gains reach *)
  T_gate : R }.                                     (* and that the gate's do; at most T, both *)

Section Bounds.
Variables (S : spec) (C : consts).
Notation tasks := (K S).
Notation K := (INR (K S)).
Notation T := (T S).
Notation X := (input_radius C).
Notation n := (INR (n S)).
Definition tokens : nat := 1 + ((m S).+1 * (n0 S).+1). (* of the longest prompt *)
Definition tau_at t := exp (- t).
Definition nu_at t := INR tokens * exp (- (2 * t)).
Definition tau := tau_at T.
Definition nu := nu_at T.
Definition nu_bos := INR tokens * exp (- (3 * T)).   (* BOS itself idles by 3T in Lift and Pair *)

(* Task codes: points on the unit circle. *)
Definition circle_code (i : 'I_(tasks)) : vec 'I_2 := fun a =>
  if a == ord0 then cos (2 * PI * INR i / K) else sin (2 * PI * INR i / K).
Definition gap : R := if tasks == 1%N then 2 else 1 - cos (2 * PI / K).
Definition longest_sum : R := if tasks == 1%N then 1
  else (if odd (tasks) then cos (PI / K / 2) else 1) / sin (PI / K).
Definition code_error : R := 2 * code_tolerance C + code_tolerance C * code_tolerance C.
Definition longest : R := (longest_sum + K * code_tolerance C) * (1 + code_tolerance C).

(* What each layer leaves behind. 1. Lift, in x and in f: at any token, at one that is no input, and
   at BOS. *)
Definition lifted : R := if sum_slot S
  then Rmax (2 * X * (3 * tau + nu)) (INR (n0 S - 1) * X * nu) else 0.
Definition lifted_rest : R := if sum_slot S then INR (n0 S - 1) * X * nu else 0.
Definition lifted_bos : R := if sum_slot S then INR (n0 S - 1) * X * nu_bos else 0.
Definition E_f : R := feature_norm C * lifted.
Definition E_f_rest : R := feature_norm C * lifted_rest.
Definition E_f_bos : R := feature_norm C * lifted_bos.
(* 2. Pair. *)
Definition E_y : R := radius C * (n * tau + 2 * nu).
(* 3. Recognize: what is charged to a residual, and what BOS' own residual costs. *)
Definition kappa : R := weight_norm C * E_f + E_y.
Definition kappa_bos : R := weight_norm C * E_f_bos + radius C * nu_bos.
Definition slack : R := beta S * ((2 * radius C + kappa) * kappa_bos).
(* 4. Commit: the weight that a task which does not explain can still have at a label. *)
Definition stray : R := tau_at (T_recognize C) + (n + 1) * nu_at (T_recognize C) + nu.
Definition zeta : R := code_error + (2 * tau + stray) * (1 + code_error) + stray * longest.
(* 5. Fetch. *)
Definition tau_gate : R := tau_at (T_gate C).
Definition nu_gate : R := nu_at (T_gate C).
Definition shut_gate : R := tau_at (2 * T_gate C) + nu_at (2 * T_gate C). (* of a shut head *)
Definition misplaced : R := 3 * tau_gate + 4 * nu_gate + K * shut_gate.
Definition longest_feature : R := feature_norm C * X + feature_bias_norm C + E_f + E_f_bos.
Definition fetched : R := E_f + E_f_rest + K * E_f_bos + misplaced * longest_feature.
Definition fetched_bos : R := E_f_bos + K * (E_f_bos + shut_gate * longest_feature).
(* 6. Execute. *)
Definition longest_value : R := 2 * radius C + bias_norm C + weight_norm C * fetched + E_y.
Definition value_bos : R := weight_norm C * fetched_bos + radius C * nu_bos.
Definition executed : R :=
  weight_norm C * fetched + misplaced * (longest_value + value_bos) + K * value_bos.
Definition idle_y : R := radius C * nu + K * (value_bos + shut_gate * (longest_value + value_bos)).
(* 7. Superpose. *)
Definition leak : R :=
  executed + 2 * idle_y + (tau + 2 * nu) * (radius C + E_y + executed + idle_y).

(* What is assumed of shape, weights and gains. *)
Record admissible : Prop := Admissible {
  some_task : (0 < tasks)%N;
  some_example : (0 < m S)%N;
  some_input : ((if sum_slot S then 1 else 0) < n0 S)%N;
  slots_hold_inputs : forall i, slot (task_of (s := S) i) != ord_max;
  signs : (0 <= radius C /\ 0 <= X /\ 0 <= tolerance C) /\
          (0 <= weight_norm C /\ 0 <= bias_norm C /\
           0 <= feature_norm C /\ 0 <= feature_bias_norm C) /\
          (0 <= code_tolerance C /\ 0 <= beta S /\ 0 <= G S /\ 0 <= abstain S /\ 0 <= elsewhere S);
  weights_bounded : forall i v,
    norm (apply (weight (task_of (s := S) i)) v) <= weight_norm C * norm v;
  biases_bounded : forall i, norm (bias (task_of (s := S) i)) <= bias_norm C;
  features_bounded : match phi S with
    | Identity => 1 <= feature_norm C
    | Relu r B c => (forall v, norm (apply B v) <= feature_norm C * norm v) /\
                    norm c <= feature_bias_norm C
    end;
  codes_close : forall i, norm (vsub (code_of i) (circle_code i)) <= code_tolerance C;
  read_codes_close : forall i,
    norm (vsub (read_code_of i) (circle_code i)) <= code_tolerance C;
  (* Recognize: the token itself leads BOS or trails it, and no other token comes near. *)
  cold_recognize : 0 <= T_recognize C <= T;
  room : 0 <= margin C - kappa;
  explained_wins :
    beta S * ((tolerance C + kappa) * (tolerance C + kappa)) + T_recognize C + slack <= T0 S;
  unexplained_loses :
    T0 S + T_recognize C + slack <= beta S * ((margin C - kappa) * (margin C - kappa));
  others_lose : beta S * ((2 * radius C + kappa) * (2 * radius C + kappa)) + T0 S
                + 2 * T_recognize C + slack <= 2 * P2 S;
  raised : T0 S + 2 * T_recognize C + slack <= recognize_raise S;
  (* Commit: counts stay on the plateaus of the trapezoid. *)
  plateau : K * stray <= 1 / 4;
  plateau_top : INR (minn tasks 2) * (2 * tau + stray) <= 1 / 4;
  (* Fetch and Execute: the gate is open for the own code and closed for all others. *)
  cold_gate : 0 <= T_gate C <= T;
  gate_own : T_gate C + G S * zeta <= threshold S;
  gate_neighbor : threshold S + T_gate C <= G S * (gap - zeta);
  gate_abstained : threshold S + 2 * T_gate C <= abstain S + G S * (1 - longest * (1 + stray));
  gate_elsewhere : threshold S + 2 * T_gate C + G S * zeta <= elsewhere S }.

(* What is assumed of a prompt: (H3) sum slots are blank; (H1) inputs, labels and outputs are
   bounded, outputs in every slot and on the query too; (H2) every task hits or misses every label
   clearly. *)
Record within (P : prompt S) : Prop := Within {
  not_too_many : (examples P <= m S)%N;
  sums_blank : forall g p a, is_sum p -> input P g p a = 0;
  inputs_bounded : forall g p, p != ord_max -> norm (filled P g p) <= X;
  labels_bounded : forall j, norm (label P j) <= radius C;
  outputs_bounded : forall i g p, p != ord_max -> norm (output P i g p) <= radius C;
  decided : forall i j, let misses := norm (vsub (perform P i (Some j)) (label P j)) in
    misses <= tolerance C \/ margin C <= misses }.
End Bounds.

(* ---- 7. The theorem -------------------------------------------------------------------------- *)

Definition embedding_dim (S : spec) : nat :=
  (2 * dim S + stored (phi S) + ebits S + sbits S + 9 + sum_slot S)%N.

(* Theorem 1: for every number of tasks, every shape, all gains that satisfy the inequalities, and
   every prompt within the hypotheses, seven layers of K heads each leave at the answer token, in
   the coordinates y, the tasks' outputs on the query weighted by prevalence,
   sum_i (m_i / M) g_i(X_query), or 0 if M = 0, up to `leak` in every coordinate. The width is
   2d + [r] + ceil(log2 (m + 1)) + ceil(log2 n) + 9 [+ 1], where [r] is there with ReLU features and
   [+ 1] with a sum slot. *)
Definition theorem1_statement : Prop :=
  forall (S : spec) (C : consts), admissible S C -> forall P : prompt S, within C P ->
    size (seven S) = 7%N /\ #|coord_finType S| = embedding_dim S /\
    forall a : 'I_(dim S),
      Rabs (run (seven S) (embed P) (answer P) (Y a) - superposition P (tolerance C) a) <= leak S C.
