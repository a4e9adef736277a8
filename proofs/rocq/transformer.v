(* Lemmas on the builders of heads: what a score of stacked terms, a row that reads a coordinate, a
   value that is written back, and an idle head come to. *)
From Theorem1 Require Import sums selection.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Section Transformer.
Variable D : finType.

Lemma score_tcat (t u : term D) q k : score (tcat t u) q k = score t q k + score u q k.
Proof. by rewrite /score /dot big_sumType. Qed.

Lemma dot_delta (c : D) h : dot (delta c) h = h c.
Proof. by rewrite /dot (sum_pick (j := c)) /delta ?eqxx; [lra | move=> i /negbTE ->; lra]. Qed.

Lemma apply_reads (I : Type) (s : I -> D) h : apply (reads s) h = fun i => h (s i).
Proof. by apply: functional_extensionality => i; rewrite /apply dot_delta. Qed.

Lemma apply_writes (I : finType) (s : I -> D) (v : vec I) i : injective s ->
  apply (writes s) v (s i) = v i.
Proof.
move=> inj; rewrite /apply /dot (sum_pick (j := i)) /writes /delta ?eqxx; first by lra.
by move=> j ji; rewrite (inj_eq inj) eq_sym (negbTE ji); lra.
Qed.

Lemma apply_writes0 (I : finType) (s : I -> D) (v : vec I) c : (forall i, c != s i) ->
  apply (writes s) v c = 0.
Proof. by move=> no; rewrite /apply /dot big1 // => i _; rewrite /writes /delta (negbTE (no i));
  lra. Qed.

Lemma score_row (q k u v : vec D) : score (row q k) u v = dot q u * dot k v.
Proof. by rewrite /score {1}/dot (sum_pick (j := tt)) // => -[]. Qed.

Lemma score_match (I : finType) g (s : I -> D) u v :
  score (match_on g s) u v = g * dot (fun i => u (s i)) (fun i => v (s i)).
Proof.
rewrite /score -dotZl; apply: eq_bigr => i _; congr (_ * _); rewrite /apply /=;
  last by rewrite dot_delta.
by rewrite dotZl dot_delta.
Qed.

Lemma dot_read_row (I : finType) (w : vec I) (s : I -> D) (inv : D -> option I) h :
  pcancel s inv -> (forall c i, inv c = Some i -> c = s i) ->
    dot (read_row w inv) h = dot w (fun i => h (s i)).
Proof.
move=> si is_; rewrite /dot /read_row.
rewrite (eq_bigr (fun c => \sum_i (if s i == c then w i * h c else 0))); last first.
  move=> c _; case E : (inv c) => [i|].
    rewrite (sum_pick (j := i)) ?(is_ _ _ E) ?eqxx // => j ji;
      rewrite (inj_eq (pcan_inj si)) (negbTE ji) //.
  rewrite big1 ?Rmult_0_l // => i _; case: eqP => // sc; by rewrite -sc si in E.
rewrite exchange_big /=; apply: eq_bigr => i _.
by rewrite (sum_pick (j := s i)) ?eqxx // => c; rewrite eq_sym => /negbTE ->.
Qed.

Lemma attention_idle (tok : finType) (h : stream D tok) q c : attention (idle_head D) h q c = 0.
Proof.
apply: big1 => k _; rewrite (_ : apply _ _ c = 0) ?Rmult_0_r //.
by apply: big1 => i _; rewrite /= Rmult_0_l.
Qed.

(* Without an MLP a layer adds its heads' outputs. *)
Lemma run_heads (tok H : finType) (hs : H -> head D) (h : stream D tok) q c :
  run_layer (Layer hs (@no_mlp_1 D) (@no_mlp_2 D)) h q c = h q c + \sum_i attention (hs i) h q c.
Proof. by rewrite /run_layer (_ : apply _ _ c = 0) ?Rplus_0_r //; apply: big1; case. Qed.

(* Of heads of which only the first works, the sum is the first. *)
Lemma sum_first (tok : finType) K hd (h : stream D tok) q c : (0 < K)%N ->
  \sum_(i : 'I_K) attention (first_of hd i) h q c = attention hd h q c.
Proof.
move=> K0; rewrite (sum_pick (j := Ordinal K0)) // => i.
rewrite -val_eqE /= /first_of => /negbTE ->; exact: attention_idle.
Qed.

(* A head whose value reads one subspace and writes it back. *)
Lemma attention_copy (tok : finType) (t : term D) (I : finType) (s : I -> D)
  (h : stream D tok) q i : injective s ->
  attention (Head t (reads s) (writes s)) h q (s i) = head_output
    (scores (Head t (reads s) (writes s)) h q) (fun k i => h k (s i)) i.
Proof.
by move=> inj; apply: eq_bigr => k _; rewrite apply_writes // apply_reads.
Qed.

Lemma attention_other (tok : finType) (t : term D) (I : finType) (V : mat I D) (s : I -> D)
  (h : stream D tok) q c :
  (forall i, c != s i) -> attention (Head t V (writes s)) h q c = 0.
Proof. by move=> no; apply: big1 => k _; rewrite apply_writes0 // Rmult_0_r. Qed.
End Transformer.
