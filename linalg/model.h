/* SPDX-License-Identifier: Apache-2.0 */
/* Supervised models as dense layers with one output head: linear, logistic and softmax regression
 * are the networks without a hidden layer.
 *
 * All parameters are one flat block of doubles; tensors name its parts. Layer l maps its inputs
 * A^l [rows][n_in] to Z^l = A^l W^l + b^l [rows][n_out]; hidden layers apply the activation. */
#ifndef CONSILIUM_LINALG_MODEL_H
#define CONSILIUM_LINALG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_MAX_HIDDEN = 8,
    MODEL_MAX_LAYERS = MODEL_MAX_HIDDEN + 1,
    MODEL_MAX_TENSORS = 2 * MODEL_MAX_LAYERS,
    MODEL_MAX_UNITS = 4096,
    MODEL_MAX_INPUTS = 16384,
    MODEL_MAX_CLASSES = 256,
    MODEL_MAX_PARAMETERS = 1 << 24,
    MODEL_MAX_ROWS = 1 << 16, /* rows of one batch */
    MODEL_NAME_BYTES = 24,
};

enum model_output { OUTPUT_LINEAR, OUTPUT_LOGISTIC, OUTPUT_SOFTMAX, OUTPUT_HAZARD };
enum model_activation { MODEL_RELU, MODEL_TANH };

/* What a plan says of a model. hidden_count 0 gives the plain regression.
 */
struct model_spec {
    enum model_output output;
    enum model_activation activation;
    size_t inputs;
    size_t
        outputs; /* 1 for linear, logistic and hazard; number of classes, at least 2, for softmax */
    size_t hidden_count;
    size_t hidden[MODEL_MAX_HIDDEN];
};

/* One named part of the parameter block: row-major [rows][cols] from offset on. */
struct model_tensor {
    char name[MODEL_NAME_BYTES]; /* "layer1.weight", "layer1.bias", ... */
    size_t rows, cols, offset;
    bool penalised; /* weights are, biases never */
};

struct model_layer {
    size_t inputs, outputs;
    size_t weight, bias; /* offsets into the parameter block */
};

/* The output head: see model_output.c. */
struct model_head;

struct model {
    struct model_spec spec;
    const struct model_head *head;
    size_t layers;
    struct model_layer layer[MODEL_MAX_LAYERS];
    size_t tensors;
    struct model_tensor tensor[MODEL_MAX_TENSORS];
    size_t parameters;                   /* length of the parameter block */
    size_t intercept_offset, intercepts; /* the output layer's bias */
};

enum model_status {
    MODEL_OK = 0,
    MODEL_BAD_SHAPE, /* an extent is 0 or over its limit, or outputs do not fit */
    MODEL_TOO_LARGE, /* more than MODEL_MAX_PARAMETERS */
    MODEL_NO_MEMORY,
};

/* A constant sentence for a person. */
const char *model_status_text(enum model_status status);

/* Fills *model from spec; no allocation, nothing to free. */
enum model_status model_build(struct model *model, const struct model_spec *spec);

/* Starting parameters [model->parameters]: zero where no layer is hidden; else weights uniform in
 * +-sqrt(6 / n_in) before ReLU, +-sqrt(6 / (n_in + n_out)) otherwise, biases zero. Same seed, same
 * parameters, on every machine. */
void model_initial(const struct model *model, uint64_t seed, double *parameters);

/* Room for one batch, allocated once and used for every step. */
struct model_work {
    size_t capacity;
    double *block;
    double *a[MODEL_MAX_LAYERS]; /* a[l] [capacity][inputs of l]; the caller fills a[0] */
    double *d[MODEL_MAX_LAYERS]; /* d[l] [capacity][outputs of l]: weighted dLoss/dZ^l */
    double *z;                   /* [capacity][outputs]: linear predictor */
    double *score;               /* [capacity][outputs]: mean, probability, probabilities */
};

/* Bytes that model_work_create will ask for. */
size_t model_work_bytes(const struct model *model, size_t capacity);

/* capacity in [1, MODEL_MAX_ROWS]. On success the caller owns *work and ends it with
 * model_work_free, which accepts a zeroed struct too and wipes nothing. */
enum model_status model_work_create(struct model_work *work, const struct model *model,
                                    size_t capacity);
void model_work_free(struct model_work *work);

/* Scores of the rows in work->a[0] [rows][inputs], rows <= capacity; fills a, z and score. */
void model_forward(const struct model *model, const double *parameters, size_t rows,
                   struct model_work *work);

/* After model_forward: losses of labels y [rows] (a value, 0/1, or a class number 0..outputs-1),
 * each times weight [rows] (NULL: 1), and their deltas into work->d. Returns the weighted sum:
 * linear (z-y)^2/2, logistic log(1+e^z) - yz, softmax log sum e^z - z_y, hazard |y| e^z - z (y > 0)
 * where |y| is the follow-up in units of the horizon and its sign tells an event (+) from censoring
 * (-). A label outside the classes gives NaN, for its own row only. */
double model_backward(const struct model *model, const double *parameters, size_t rows,
                      const double *y, const double *weight, struct model_work *work);

/* Adds A^l' D^l and the column sums of D^l, for every layer, to gradient [model->parameters]. */
void model_gradient(const struct model *model, size_t rows, const struct model_work *work,
                    double *gradient);

#endif
