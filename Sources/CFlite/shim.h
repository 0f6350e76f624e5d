#include <flite/flite.h>

// The voices' entry points, which flite's headers leave out. Each returns a process-wide singleton.
cst_voice *register_cmu_us_slt(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_kal16(const char *voxdir);

// The English lexicon with its letter-to-sound rules, a process-wide singleton too.
cst_lexicon *cmu_lex_init(void);

// Flite keeps the pointer of a feature's name, so names must live as long as the process: literals here, never a string made
// by Swift. `streaming` belongs to the utterance from then on and is deleted with it.
static inline void flite_prepare_utterance(cst_utterance *utterance, const char *text, float stretch,
                                           cst_audio_streaming_info *streaming) {
  feat_set_string(utterance->features, "input_text", text);
  feat_set_float(utterance->features, "duration_stretch", stretch);
  feat_set(utterance->features, "streaming_info", audio_streaming_info_val(streaming));
}

static inline cst_item *flite_first_token(const cst_utterance *utterance) {
  cst_relation *tokens = utterance ? utt_relation(utterance, "Token") : 0;
  return tokens ? relation_head(tokens) : 0;
}

// Seconds from the start of the utterance to the end of the token's last word; negative where it has none.
static inline float flite_token_end(const cst_item *token) {
  const cst_item *word = item_last_daughter(token);
  if (!word) return -1;
  return flite_ffeature_float(word, "R:SylStructure.daughtern.daughtern.R:Segment.end");
}

static inline const char *flite_token_text(const cst_item *token) { return item_feat_string(token, "name"); }
